"""Look-ups whose answer counts for a second, and is asked for anew before that as long as it is in use.

Who asks for something that is in use never waits. If answers only ran out, all who call all the time would wait at
the same moment once a second, and what piled up meanwhile would hold up everybody.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec
from cachetools import TLRUCache

import api.caches
from api.together import KEYS_MAX, Together
from db.async_engine import AsyncTransactions
from db.engine import Connection, DatabaseError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

REMEMBER_SECONDS = 1.0  # How long what has ended may still count in a process: it saves a query per request.
RENEW_SECONDS = 0.5  # An answer of that age is asked for anew, by the next one who uses it.
GATHER_SECONDS = 0.05  # So long others that are in use gather for the same query.
REMEMBER_MAX = 50_000  # Of some 500 bytes each: 25 MB at most. Beyond them the least used are asked for anew.


class Answer(msgspec.Struct, Generic[V], frozen=True):
    value: V | None
    asked_at: float  # Before its query began.


class Remembered(Generic[K, V]):
    def __init__(self, database: AsyncTransactions, find: Callable[[Connection, Sequence[K]], Mapping[K, V]]) -> None:
        self._database = database
        self._find = find
        self._together = Together(database, find)
        self._answers: TLRUCache[K, Answer[V]] = TLRUCache(REMEMBER_MAX, _end, time.monotonic)
        self._old: set[K] = set()  # To be asked for anew.
        self._renewal: asyncio.Task[None] | None = None

    async def find(self, wanted: K) -> V | None:
        """Return what stands under this key, as it was within the last second, or when it was asked for just now.

        Raises:
            DatabaseError, TimeoutError: it was not known, and the database did not answer.

        """
        answer = api.caches.find(self._answers, wanted)
        if answer is None:
            asked_at = time.monotonic()
            answer = self._remember(wanted, Answer(await self._together.find(wanted), asked_at))
        elif answer.value is not None and answer.asked_at + RENEW_SECONDS < time.monotonic():
            self._old.add(wanted)
            if self._renewal is None:
                self._renewal = asyncio.ensure_future(self._renew())
        return answer.value

    def end(self, key: K) -> None:
        """Remember that what stands under this key has just ended; an answer that is under way is older."""
        self._remember(key, Answer(None, time.monotonic()))

    async def stop(self) -> None:
        """Ask for nothing any more by itself, so that the database's connections can be closed."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait({self._renewal})

    def _remember(self, key: K, answer: Answer[V]) -> Answer[V]:
        """Return the newer one of this answer and the one that is known."""
        known = self._answers.get(key)
        if known is not None and known.asked_at > answer.asked_at:
            return known
        self._answers[key] = answer
        return answer

    async def _renew(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        old, self._old = list(self._old), set()
        try:
            # If the database does not answer, the answers run out, and who asks then hears of it.
            with contextlib.suppress(DatabaseError, TimeoutError):
                for first in range(0, len(old), KEYS_MAX):
                    await self._renew_page(old[first : first + KEYS_MAX])
        finally:
            self._renewal = None

    async def _renew_page(self, keys: list[K]) -> None:
        asked_at = time.monotonic()
        found = await self._database.run_statements(self._find, keys)
        for key in keys:
            self._remember(key, Answer(found.get(key), asked_at))


def _end(_key: K, answer: Answer[V], _now: float) -> float:
    return answer.asked_at + REMEMBER_SECONDS
