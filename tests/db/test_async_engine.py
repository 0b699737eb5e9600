"""Functions of this package on async connections, and what becomes of a transaction that takes too long."""

import asyncio
import weakref
from typing import Any

import psycopg.waiting
import pytest
from sqlalchemy import Connection, text

import db.async_engine
import db.jobs
from db.async_engine import AsyncTransactions
from db.engine import DatabaseError, ping
from domain.jobs import Submission
from settings import Settings
from tests import garbage, made
from tests.databases import server_process

GIVEN_BACK_SECONDS_MAX = 10.0
STEPS_MAX = 60  # Of the event loop: a transaction takes fewer.


def test_the_same_functions_run_on_async_connections(fresh: Settings) -> None:
    async def stage_and_find() -> db.jobs.Stored | None:
        transactions = AsyncTransactions(fresh.database_api_url, connections=1)
        one = made.submission()
        await transactions.run(db.jobs.stage, [one])
        stored = await transactions.run(db.jobs.find, one.id)
        await transactions.close()
        return stored

    assert asyncio.run(stage_and_find()) is not None


def test_the_connection_that_worked_last_works_next(fresh: Settings) -> None:
    async def use() -> tuple[list[int], list[int]]:
        database = AsyncTransactions(fresh.database_api_url, connections=2)
        at_once = await asyncio.gather(*(database.run(server_process) for _ in range(2)))
        in_turn = [await database.run(server_process) for _ in range(3)]
        await database.close()
        return at_once, in_turn

    at_once, in_turn = asyncio.run(use())
    assert len(set(at_once)) == 2
    assert len(set(in_turn)) == 1


def test_an_error_undoes_a_transaction_and_leaves_statements_that_are_one_each(fresh: Settings) -> None:
    async def use() -> set[str]:
        database = AsyncTransactions(fresh.database_api_url, connections=1)  # Which is both in turn.
        runs = {"1": database.run, "2": database.run_statements, "3": database.run, "4": database.run_statements}
        for key, run in runs.items():
            with pytest.raises(DatabaseError):
                await run(stage_and_fail, made.submission(key=key))
        found = await database.run(db.jobs.find_by_keys, {(made.CALLER, key) for key in runs})
        await database.close()
        return {key for _, key in found}

    assert asyncio.run(use()) == {"2", "4"}


def stage_and_fail(connection: Connection, one: Submission) -> None:
    db.jobs.stage(connection, [one])
    connection.execute(text("SELECT 1 / 0"))


def test_a_database_that_does_not_answer_is_given_up_and_answers_again_later(
    configured: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.async_engine, "DEADLINE_SECONDS", 0.2)

    async def use() -> None:
        database = AsyncTransactions(configured.database_api_url, connections=1)
        with pytest.raises(TimeoutError):
            await database.run(sleep, 30)
        monkeypatch.setattr(db.async_engine, "DEADLINE_SECONDS", 5)
        await database.run(ping)
        await database.close()

    asyncio.run(use())


def test_what_was_given_up_has_ended_when_the_connections_are_closed(configured: Settings) -> None:
    async def use() -> set[asyncio.Task[None]]:
        database = AsyncTransactions(configured.database_api_url, connections=1)
        asking = asyncio.create_task(database.run(sleep, 30))
        while database.use.in_use == 0:  # noqa: ASYNC110 - nobody tells when a connection is taken
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait({asking})
        await database.close()
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(use()) == set()


@pytest.mark.parametrize("name", ["run", "run_statements"])
def test_what_is_canceled_at_any_step_leaves_no_task_and_no_connection_behind(
    configured: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A connection that is left to the garbage collector is a warning, and a warning is an error of this test."""
    monkeypatch.setattr(psycopg.waiting, "MAX_BUSY_TIME", 0.0)  # As on a busy machine: every call gives way to others.

    async def use(steps: int) -> set[asyncio.Task[Any]]:
        database = AsyncTransactions(configured.database_api_url, connections=1)
        await database.run(ping)
        asking = asyncio.create_task(getattr(database, name)(ping))
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        async with asyncio.timeout(GIVEN_BACK_SECONDS_MAX):
            while not asking.done() or database.use.in_use:  # noqa: ASYNC110 - nobody tells when one is given back
                await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await database.close()
        return left

    assert [asyncio.run(use(steps)) for steps in range(STEPS_MAX)] == [set()] * STEPS_MAX


def test_an_error_leaves_no_garbage(configured: Settings) -> None:
    async def use() -> weakref.ref[BaseException]:
        database = AsyncTransactions(configured.database_api_url, connections=1)
        [error] = await asyncio.gather(database.run(refuse), return_exceptions=True)
        await database.close()
        assert isinstance(error, Refused)
        return weakref.ref(error)

    with garbage.kept():
        assert asyncio.run(use())() is None


class Refused(Exception):
    """What a function of a transaction may raise; a built-in exception cannot be referred to weakly."""


def refuse(connection: Connection) -> None:
    ping(connection)
    raise Refused


def sleep(connection: Connection, seconds: int) -> None:
    connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})
