"""How many jobs of a caller may be queued at once: looked at rarely, as long as the caller is far from the limit.

A bulk counts as its items. One that begins below the limit is accepted whole: no limit makes a bulk impossible.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
from cachetools import LRUCache

import db.jobs
from db.engine import Connection
from domain.jobs import Submission

# Of the limit, what a process may accept of a caller without a look. The limit bounds a runaway client, and is no more
# exact than that: another process may have accepted as much since the last look, and one flush at the same moment.
UNSEEN_SHARE = 4
NEAR_SHARE = 2  # Of the limit: a caller who was seen with that many is looked at each time.
CALLERS_MAX = 50_000  # Whose last look is remembered: 15 MB at most.


class Look(msgspec.Struct):
    seen: int
    accepted: int = 0  # Since then, by this process.


class OpenJobs:
    def __init__(self, most: int) -> None:
        """`most` is the limit; 0 is none."""
        self._most = most
        self._looks: LRUCache[str, Look] = LRUCache(CALLERS_MAX)

    def near(self, new: Sequence[Submission]) -> list[str]:
        """Return the callers who may have too many with these, and must be looked at before some are admitted."""
        if not self._most:
            return []
        return sorted(caller for caller, count in _coming(new).items() if self._may_be_near(caller, count))

    def look(self, connection: Connection, callers: Sequence[str]) -> None:
        counts = db.jobs.open_counts(connection, callers, self._most)
        for caller in callers:
            self._looks[caller] = Look(counts.get(caller, 0))

    def admit(self, new: Sequence[Submission]) -> Sequence[Submission]:
        """Return those that leave their caller no more open jobs than it may have."""
        if not self._most:
            return new
        return [one for one in new if self._has_room(one.caller, one.items or 1)]

    def _may_be_near(self, caller: str, count: int) -> bool:
        look = self._looks.get(caller)
        if look is None:
            return True
        unseen = look.accepted + count
        return unseen > self._most // UNSEEN_SHARE or look.seen + unseen > self._most // NEAR_SHARE

    def _has_room(self, caller: str, count: int) -> bool:
        look = self._looks[caller]
        if look.seen + look.accepted >= self._most:
            return False
        look.accepted += count
        return True


def _coming(new: Sequence[Submission]) -> Counter[str]:
    coming: Counter[str] = Counter()
    for one in new:
        coming[one.caller] += one.items or 1
    return coming
