"""Look-ups that share a query: how many there are, who gets what, and what happens when one fails or goes away."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

import api.together
import db.async_engine
from api.together import Together
from db.async_engine import AsyncTransactions
from db.engine import DatabaseError, Unanswered
from settings import Settings
from tests.databases import connected

ONE, TWO, THREE = (UUID(int=number) for number in (1, 2, 3))


class Recorded:
    """A real query, and what it was asked for."""

    def __init__(self, statement: str = "SELECT pg_sleep(0.02)") -> None:
        self.asked: list[set[UUID]] = []
        self._statement = statement

    def __call__(self, connection: Connection, ids: Sequence[UUID]) -> Mapping[UUID, int]:
        self.asked.append(set(ids))
        connection.execute(text(self._statement))
        return {one: one.int for one in ids if one != THREE}


def run(config: Settings, find: Recorded, story: Callable[[Together[UUID, int]], Awaitable[None]]) -> None:
    async def use() -> None:
        database = AsyncTransactions(config.database_api_url, connections=2)
        try:
            await story(Together(database, find))
        finally:
            await database.close()

    asyncio.run(use())


def test_those_who_ask_at_once_share_a_query_and_each_gets_its_own_answer(configured: Settings) -> None:
    find = Recorded()

    async def story(together: Together[UUID, int]) -> None:
        assert await asyncio.gather(*map(together.find, [ONE, TWO, ONE, THREE])) == [1, 2, 1, None]

    run(configured, find, story)

    assert find.asked == [{ONE, TWO, THREE}]


def test_who_comes_while_a_query_is_under_way_gets_an_answer_of_the_next_one(configured: Settings) -> None:
    find = Recorded()

    async def story(together: Together[UUID, int]) -> None:
        first = asyncio.create_task(together.find(ONE))
        while not find.asked:  # noqa: ASYNC110 - nobody tells when a query begins
            await asyncio.sleep(0.001)
        assert list(await asyncio.gather(together.find(ONE), together.find(TWO), first)) == [1, 2, 1]

    run(configured, find, story)

    assert find.asked == [{ONE}, {ONE, TWO}]


def test_a_query_is_for_a_limited_number(configured: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.together, "KEYS_MAX", 2)
    find = Recorded()

    async def story(together: Together[UUID, int]) -> None:
        assert await asyncio.gather(*map(together.find, [ONE, TWO, THREE])) == [1, 2, None]

    run(configured, find, story)

    assert find.asked == [{ONE, TWO}, {THREE}]


def test_who_goes_away_takes_the_answer_from_nobody(configured: Settings) -> None:
    async def story(together: Together[UUID, int]) -> None:
        going, staying = asyncio.create_task(together.find(ONE)), asyncio.create_task(together.find(TWO))
        await asyncio.sleep(0)
        going.cancel()
        assert await staying == 2

    run(configured, Recorded(), story)


def test_who_waits_for_the_query_before_waits_no_longer_than_everybody(
    configured: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.async_engine, "DEADLINE_SECONDS", 60.0)
    find = Recorded("SELECT pg_advisory_xact_lock(17)")

    async def story(together: Together[UUID, int]) -> None:
        with held(configured):
            first = asyncio.create_task(together.find(ONE))
            while not find.asked:  # noqa: ASYNC110 - nobody tells when a query begins
                await asyncio.sleep(0.001)
            monkeypatch.setattr(db.async_engine, "DEADLINE_SECONDS", 0.5)
            with pytest.raises(Unanswered):  # Which callers are told as a 503.
                await together.find(TWO)
            assert not first.done()
        assert await first == 1
        with held(configured), pytest.raises(Unanswered):  # So it is for who waits for the query itself.
            await together.find(TWO)

    run(configured, find, story)


@contextlib.contextmanager
def held(config: Settings) -> Iterator[None]:
    """Keep a query that wants the same lock from an answer."""
    with connected(config.database_url) as holder:
        holder.exec_driver_sql("SELECT pg_advisory_xact_lock(17)")
        yield


def test_a_failure_is_told_to_those_who_asked_and_the_next_query_is_a_new_one(configured: Settings) -> None:
    find = Recorded("SELECT 1 / 0")

    async def story(together: Together[UUID, int]) -> None:
        found = await asyncio.gather(together.find(ONE), together.find(TWO), return_exceptions=True)
        assert [isinstance(one, DatabaseError) for one in found] == [True, True]
        with pytest.raises(DatabaseError):
            await together.find(ONE)

    run(configured, find, story)

    assert find.asked == [{ONE, TWO}, {ONE}]
