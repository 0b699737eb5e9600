"""What a scrape tells of this moment: nothing from memory, and always something."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

import pytest
from prometheus_client.metrics_core import Metric
from sqlalchemy import Engine, create_engine, event, make_url, text

import api.gauges
import db.async_engine
import db.metrics
from api.gauges import Gauges
from api.intake import Intake
from api.open_jobs import OpenJobs
from db.async_engine import AsyncTransactions
from db.engine import Connection
from domain.wallets import SystemWallet, system_id
from settings import Settings
from tests import committed, databases
from tests.databases import connected
from tests.workers.sinks import until
from workers.bell import Bell

OF_PROCESS = {
    "tekana_accept_waiting_requests",
    "tekana_database_connections_max",
    "tekana_database_connections_in_use",
    "tekana_database_connections_waiting",
}
BALANCE = "tekana_ledger_trial_balance_minor_units"

Told = dict[str, Metric]
Use = Callable[[Gauges], Awaitable[None]]


def using(url: str, use: Use) -> None:
    """Run `use` with the gauges of an API process that has this database."""

    async def run() -> None:
        database, bell = AsyncTransactions(url, connections=2), Bell()
        intake = Intake(database, bell, OpenJobs(0))
        try:
            await use(Gauges(database, intake))
        finally:
            await intake.stop()
            await database.close()
            await asyncio.to_thread(bell.stop)

    asyncio.run(run())


async def read(gauges: Gauges) -> Told:
    return {family.name: family for family in (await gauges.read()).collect()}


def only(told: Told, name: str) -> float:
    [sample] = told[name].samples
    return float(sample.value)


@contextlib.contextmanager
def away(url: str) -> Iterator[None]:
    """Let nobody into a database, and put out who is in."""
    name = make_url(url).database
    engine = create_engine(databases.on(url, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as administrator:
        administrator.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        administrator.execute(PUT_OUT, {"name": name})
        yield
        administrator.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    engine.dispose()


PUT_OUT = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")


def test_of_a_database_that_went_away_nothing_is_told_but_that_it_did(fresh: Settings) -> None:
    async def use(gauges: Gauges) -> None:
        before = await read(gauges)
        with away(fresh.database_url):
            meanwhile = await read(gauges)
        after = await read(gauges)

        assert [only(told, "tekana_database_up") for told in (before, meanwhile, after)] == [1, 0, 1]
        assert meanwhile.keys() == OF_PROCESS | {"tekana_database_up"}
        assert after.keys() == before.keys() > {"tekana_queue_jobs", "tekana_webhook_attempts", BALANCE}

    using(fresh.database_api_url, use)


def test_a_database_that_does_not_answer_is_not_waited_for(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(gauges: Gauges) -> None:
        before = await read(gauges)
        with connected(fresh.database_url) as holder:
            holder.exec_driver_sql("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            monkeypatch.setattr(db.async_engine, "DEADLINE_SECONDS", 0.2)
            meanwhile = await read(gauges)

        assert [only(told, "tekana_database_up") for told in (before, meanwhile)] == [1, 0]

    using(fresh.database_api_url, use)


def test_books_that_cannot_be_added_up_are_left_out_and_the_rest_is_told(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(gauges: Gauges) -> None:
        with connected(fresh.database_url) as holder:
            holder.exec_driver_sql("LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE")
            with monkeypatch.context() as patch, impatient_for_the_books(patch):
                meanwhile = await read(gauges)
            holder.rollback()
            after = await read(gauges)

        assert "tekana_ledger_currencies" not in meanwhile
        assert (only(meanwhile, "tekana_database_up"), only(after, "tekana_ledger_currencies")) == (1, 0)

    using(fresh.database_api_url, use)


@contextlib.contextmanager
def impatient_for_the_books(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give up early from the first commit on: what is read before it takes longer on a busy machine."""

    def hurry(_: Connection) -> None:
        patch.setattr(db.async_engine, "DEADLINE_SECONDS", 0.2)

    event.listen(Engine, "commit", hurry)
    yield
    event.remove(Engine, "commit", hurry)


def test_the_books_are_added_up_again_once_they_are_old_and_not_before(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(gauges: Gauges) -> None:
        assert only(await read(gauges), BALANCE) == 0
        committed.execute(fresh.database_url, HARM.format(system_id(SystemWallet.CASH_OUT, "RWF")))
        assert only(await read(gauges), BALANCE) == 0
        monkeypatch.setattr(api.gauges, "BOOKS_SECONDS", 0.0)
        gauges._books_due_at = 0.0  # noqa: SLF001 - a minute has passed
        assert only(await read(gauges), BALANCE) == 7

    committed.opened(fresh.database_url, 5_00)
    using(fresh.database_api_url, use)


HARM = "UPDATE wallets SET balance = balance + 7 WHERE id = '{}'"


def test_two_scrapes_at_once_add_the_books_up_once(fresh: Settings) -> None:
    asked: list[str] = []

    def note(*said: object) -> None:
        asked.append(str(said[2]))

    async def use(gauges: Gauges) -> None:
        event.listen(Engine, "before_cursor_execute", note)
        both = await asyncio.gather(read(gauges), read(gauges))
        event.remove(Engine, "before_cursor_execute", note)
        assert [only(told, "tekana_ledger_currencies") for told in both] == [0, 0]

    using(fresh.database_api_url, use)
    assert len([statement for statement in asked if "trial_balance" in statement]) == 1


def test_a_scrape_tells_how_many_connections_work_and_how_many_requests_wait_for_one(fresh: Settings) -> None:
    async def use(gauges: Gauges) -> None:
        database: AsyncTransactions = gauges._database  # noqa: SLF001 - the pool that it tells of
        with connected(fresh.database_url) as holder:
            holder.exec_driver_sql("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            held = [asyncio.ensure_future(database.run(db.metrics.snapshot)) for _ in range(5)]
            await until(lambda: (database.use.in_use, database.use.waiting) == (2, 3))
            told = {family.name: family for family in api.gauges.of_process(database.use, 0)}
        await asyncio.gather(*held)

        of_pool = [only(told, f"tekana_database_connections_{name}") for name in ("max", "in_use", "waiting")]
        assert of_pool == [2, 2, 3]
        assert (database.use.in_use, database.use.waiting) == (0, 0)

    using(fresh.database_api_url, use)
