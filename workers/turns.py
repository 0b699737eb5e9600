"""Whose jobs are claimed next: the oldest, or each caller's in turn when there are more than a batch holds.

A queue that one batch empties is fair by itself, and claimed as cheaply as can be. That it is deeper is known from the
batch before, which was full, or had a bulk after which the next one found no room: nobody has to look.
"""

from functools import lru_cache

import db.jobs
import db.turns
from db.engine import Connection
from domain.jobs import Claimed, Queue
from settings import settings


class Turns:
    """What this process remembers of a queue."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._is_deep = False
        self._last_caller = ""

    def claim(self, tx: Connection) -> list[Claimed]:
        """Claim a batch, in order of arrival."""
        batch_max = settings().batch_max
        batch = self._in_turn(tx, batch_max) if self._is_deep else db.jobs.claim(tx, self._queue, batch_max)
        self._is_deep = len(batch) == batch_max or any(job.items for job in batch)
        return batch

    def _in_turn(self, tx: Connection, batch_max: int) -> list[Claimed]:
        turn = db.turns.claim(tx, self._queue, batch_max, self._last_caller)
        self._last_caller = turn.last_caller
        return turn.batch


turns_of = lru_cache(maxsize=len(Queue))(Turns)
