"""Units of work, and which failures mean what: try again, read again, or unknown."""

import asyncio
import socket
from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import Connection, TextClause, text

import db.engine
import db.jobs
import db.leases
import settings
from db.async_engine import AsyncTransactions
from db.engine import DatabaseError, autocommit, engine, is_conflict, is_retryable, is_unavailable, ping, transaction
from settings import Settings
from tests import made
from tests.databases import connected, server_process


class Interrupted(Exception):
    """Something went wrong in the middle of a unit of work."""


def test_a_unit_of_work_is_committed_at_its_end_and_seen_by_others(fresh: Settings) -> None:
    with transaction(fresh.database_url) as tx:
        job_id = made.job(tx)
        with connected(fresh.database_url) as other:
            assert db.jobs.find(other, job_id) is None
    with connected(fresh.database_url) as other:
        assert db.jobs.find(other, job_id) is not None


def test_a_unit_of_work_that_fails_leaves_nothing(fresh: Settings) -> None:
    staged: list[UUID] = []
    with pytest.raises(Interrupted), transaction(fresh.database_url) as tx:
        stage_and_fail(tx, staged)
    with connected(fresh.database_url) as other:
        assert db.jobs.find(other, staged[0]) is None


def stage_and_fail(tx: Connection, staged: list[UUID]) -> None:
    staged.append(made.job(tx))
    raise Interrupted


LEASE = UUID(int=1)


def test_each_statement_may_be_a_transaction_of_its_own(fresh: Settings) -> None:
    with autocommit(fresh.database_worker_url) as connection, transaction(fresh.database_worker_url) as other:
        db.leases.take(connection, LEASE, [], 0)
        assert db.leases.drop(other, LEASE)
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"


def test_a_connection_is_no_longer_in_autocommit_when_it_comes_back(fresh: Settings) -> None:
    with autocommit(fresh.database_worker_url) as connection:
        process = server_process(connection)
    with pytest.raises(Interrupted), transaction(fresh.database_worker_url) as tx:
        take_a_lease_and_fail(tx, process)
    with transaction(fresh.database_worker_url) as tx:
        assert not db.leases.drop(tx, LEASE)


def take_a_lease_and_fail(tx: Connection, process: int) -> None:
    assert server_process(tx) == process
    db.leases.take(tx, LEASE, [], 0)
    raise Interrupted


def test_the_connection_that_worked_last_works_next(fresh: Settings) -> None:
    with transaction(fresh.database_worker_url) as tx:
        with transaction(fresh.database_worker_url) as beside:
            assert server_process(beside) != server_process(tx)
        worked_last = server_process(tx)
    for _ in range(2):
        with transaction(fresh.database_worker_url) as tx:
            assert server_process(tx) == worked_last


def test_an_engine_is_made_once_for_each_database(configured: Settings) -> None:
    assert engine(configured.database_url) is engine(configured.database_url)
    assert engine(configured.database_url) is not engine(configured.database_worker_url)


def test_an_error_does_not_repeat_the_parameters_that_caused_it(configured: Settings) -> None:
    with pytest.raises(DatabaseError) as caught, transaction(configured.database_url) as tx:
        tx.execute(text("SELECT CAST(:secret AS int)"), {"secret": "the password of ada"})
    assert "[SQL parameters hidden" in str(caught.value)


@pytest.mark.parametrize(("value", "is_prepared"), [("true", True), ("false", False)])
def test_statements_are_prepared_on_the_server_unless_a_pooler_stands_in_between(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch, value: str, is_prepared: object
) -> None:
    monkeypatch.setenv("DATABASE_PREPARED_STATEMENTS", value)
    settings.settings.cache_clear()

    async def prepared() -> int:
        transactions = AsyncTransactions(fresh.database_api_url, connections=1)
        found = await transactions.run(repeat)
        await transactions.close()
        return found

    with transaction(fresh.database_worker_url) as tx:
        assert (repeat(tx) > 0) is is_prepared
    assert (asyncio.run(prepared()) > 0) is is_prepared


def repeat(tx: Connection) -> int:
    """Ask the same again and again; return how many statements the server keeps for this connection."""
    for value in range(10):
        tx.execute(text("SELECT CAST(:value AS int)"), {"value": value})
    return int(tx.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one())


def fail_with(state: str) -> Callable[[Connection], None]:
    """Return a function that makes PostgreSQL raise an error of this SQLSTATE."""

    def fail(tx: Connection) -> None:
        tx.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")

    return fail


def lose_connection(tx: Connection) -> None:
    tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def take_a_lease_twice(tx: Connection) -> None:
    for _ in range(2):
        db.leases.take(tx, LEASE, [], 0)


def divide(tx: Connection) -> None:
    tx.execute(text("SELECT 1 / 0"))


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (fail_with("40001"), "retryable"),
        (fail_with("40P01"), "retryable"),
        (fail_with("55P03"), "retryable"),
        (fail_with("08006"), "unavailable"),
        (fail_with("53300"), "unavailable"),
        (fail_with("57P01"), "unavailable"),
        (fail_with("25006"), "unavailable"),
        (lose_connection, "unavailable"),
        (take_a_lease_twice, "conflict"),
        (fail_with("23514"), ""),
        (fail_with("42501"), ""),
        (divide, ""),
    ],
)
def test_a_failure_is_of_one_kind(configured: Settings, fail: Callable[[Connection], None], expected: str) -> None:
    with pytest.raises(DatabaseError) as caught, transaction(configured.database_worker_url) as tx:
        fail(tx)
    kinds = {"retryable": is_retryable, "conflict": is_conflict, "unavailable": is_unavailable}
    assert [kind for kind, is_kind in kinds.items() if is_kind(caught.value)] == [expected][: bool(expected)]


READS_ONLY = text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
WRITES = text("UPDATE sessions SET id = id WHERE false")


def test_connections_to_a_server_that_became_a_standby_are_given_up(configured: Settings) -> None:
    with transaction(configured.database_worker_url) as tx:
        tx.execute(READS_ONLY)
    with pytest.raises(DatabaseError), transaction(configured.database_worker_url) as tx:
        db.leases.take(tx, LEASE, [], 0)
    with transaction(configured.database_worker_url) as tx:
        db.leases.take(tx, LEASE, [], 0)
        db.leases.drop(tx, LEASE)


def test_so_are_those_of_the_api(fresh: Settings) -> None:
    async def first_and_second() -> bool:
        database = AsyncTransactions(fresh.database_api_url, connections=1)
        await database.run(execute, READS_ONLY)
        with pytest.raises(DatabaseError) as caught:
            await database.run(execute, WRITES)
        await database.run(execute, WRITES)
        await database.close()
        return is_unavailable(caught.value)

    assert asyncio.run(first_and_second())


def execute(tx: Connection, statement: TextClause) -> None:
    tx.execute(statement)


def test_a_server_that_is_away_is_unavailable(configured: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    nowhere = f"postgresql+psycopg://tekana@127.0.0.1:{port}/tekana"
    assert configured
    with pytest.raises(DatabaseError) as caught, transaction(nowhere) as tx:
        ping(tx)
    assert is_unavailable(caught.value)


def test_an_address_that_asks_for_encryption_gets_no_connection_without_it(configured: Settings) -> None:
    encrypted = f"{configured.database_url}?sslmode=verify-full"
    with pytest.raises(DatabaseError, match="does not support SSL"), transaction(encrypted) as tx:
        ping(tx)


def test_a_pool_without_a_free_connection_is_unavailable(configured: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine(configured.database_url).pool, "_timeout", 0.05)
    with (
        pytest.raises(DatabaseError) as caught,
        transaction(configured.database_url),
        transaction(configured.database_url),
        transaction(configured.database_url),
    ):
        pytest.fail("a third connection was there")
    assert is_unavailable(caught.value)


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), TimeoutError("x")])
def test_what_is_not_the_databases_error_is_none_of_them(error: Exception) -> None:
    assert [kind(error) for kind in (is_retryable, is_conflict, is_unavailable)] == [False] * 3
