"""Look-ups that share a query: what is asked for while one is under way is asked for with the next one.

A process that remembers answers for a second forgets many at the same moment, and would ask for each by itself: 64
callers cost it 40 ms then, in which nobody else was answered.
"""

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

import db.async_engine
from db.async_engine import AsyncTransactions
from db.engine import Connection, Unanswered

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

KEYS_MAX = 1_000  # In one query: a few milliseconds.


class Together(Generic[K, V]):
    def __init__(self, database: AsyncTransactions, find: Callable[[Connection, Sequence[K]], Mapping[K, V]]) -> None:
        self._database = database
        self._find = find
        self._turn = asyncio.Lock()
        self._keys: set[K] = set()  # Of those that the next query is for.
        self._next: asyncio.Task[Mapping[K, V]] | None = None

    async def find(self, wanted: K) -> V | None:
        """Return what stands under this key, as it is now.

        Raises:
            DatabaseError, Unanswered: the database did not answer, to any of those who asked together.

        """
        if self._next is None or len(self._keys) >= KEYS_MAX:
            self._keys = set()
            self._next = asyncio.ensure_future(self._ask(self._keys))
        self._keys.add(wanted)
        # Shielded: one who goes away must not take the answer from the others.
        return (await asyncio.shield(self._next)).get(wanted)

    async def _ask(self, keys: set[K]) -> Mapping[K, V]:
        try:
            async with asyncio.timeout(db.async_engine.DEADLINE_SECONDS):  # The wait for the query before counts, too.
                return await self._in_turn(keys)
        except TimeoutError as error:
            raise Unanswered("the database did not answer") from error

    async def _in_turn(self, keys: set[K]) -> Mapping[K, V]:
        try:
            await self._turn.acquire()
        finally:
            if self._keys is keys:
                self._next = None  # From here on it is too late for others.
        try:
            return await self._database.run_statements(self._find, list(keys))
        finally:
            self._turn.release()
