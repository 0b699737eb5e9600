"""When a replica may be asked: only while it answers, follows this primary, and shows what is young enough."""

import asyncio
import math
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from api.replica import DEADLINE_SECONDS, LOOK_SECONDS, Freshness, Replica
from db.async_engine import AsyncTransactions
from db.engine import Connection, DatabaseError
from db.replica import Place
from local.stack import Stack
from tests.conftest import migrated
from tests.databases import on
from tests.standbys import Standby, streaming

AGE_SECONDS_MAX = 60.0  # More than any step of these tests takes.
SHORT_SECONDS = 2.0  # Of a test that waits until it is too old.
FOLLOW_SECONDS_MAX = 30.0
NEVER = math.inf


def at(position: int, *, timeline: int = 1, system: int = 7) -> Place:
    return Place(system=system, timeline=timeline, position=position)


@pytest.mark.parametrize(
    ("moments", "shown", "age"),
    [
        ([], at(100), NEVER),
        ([(10, at(100))], None, NEVER),
        ([(10, at(100))], at(99), NEVER),
        ([(10, at(100))], at(100), 2),
        ([(10, at(100)), (11, at(200))], at(199), 2),
        ([(10, at(100)), (11, at(200))], at(200), 1),
        ([(10, at(100)), (11, at(100))], at(100), 1),
        ([(5, at(100)), (11, at(200))], at(150), NEVER),
        ([(10, at(100))], at(900, system=8), NEVER),
        ([(10, at(100))], at(900, timeline=2), NEVER),
        ([(10, at(100)), (11, at(100, timeline=2))], at(900), NEVER),
        ([(10, at(100)), (11, at(100, timeline=2))], at(99, timeline=2), NEVER),
        ([(10, at(100)), (11, at(100, timeline=2))], at(100, timeline=2), 1),
    ],
    ids=[
        "the primary was never asked",
        "it is no replica",
        "it has not come so far",
        "it has just come so far",
        "it is between two moments",
        "it shows all",
        "nothing was written meanwhile",
        "what it has reached is too long ago",
        "it follows another cluster",
        "it was promoted",
        "its primary was overtaken by a promotion",
        "it follows the promoted one, but is not there yet",
        "it follows the promoted one",
    ],
)
def test_a_replica_is_as_old_as_the_latest_moment_that_it_has_reached(
    moments: list[tuple[float, Place]], shown: Place | None, age: float
) -> None:
    freshness = Freshness(keep_seconds=5)
    for moment, written in moments:
        freshness.note(moment, written)
    freshness.reach(shown)
    assert freshness.age(12) == age


def test_what_a_replica_showed_before_another_took_its_place_counts_for_nothing() -> None:
    freshness = Freshness(keep_seconds=5)
    freshness.note(10, at(100))
    freshness.reach(at(100))
    assert freshness.age(11) == 1
    freshness.reach(at(500, system=8))
    assert freshness.age(11) == NEVER


def test_moments_that_are_of_no_use_any_more_are_forgotten() -> None:
    freshness = Freshness(keep_seconds=5)
    for moment in range(1_000):
        freshness.note(moment, at(moment))
    assert len(freshness._moments) == 6  # noqa: SLF001 - what must not grow is kept inside


@pytest.fixture(scope="module")
def primary(module_data_dir: Path) -> Iterator[Stack]:
    with migrated(module_data_dir) as stack:
        yield stack


@pytest.fixture
def standby(primary: Stack, module_data_dir: Path) -> Iterator[Standby]:
    with streaming(primary, module_data_dir) as standby:
        yield standby


def use(
    primary: Stack, url: str, story: Callable[[Replica], Awaitable[None]], age_seconds_max: float = AGE_SECONDS_MAX
) -> None:
    """Run a story with a replica that is looked at by the story alone."""

    async def run() -> None:
        database = AsyncTransactions(primary.env["DATABASE_API_URL"], connections=1)
        reading = AsyncTransactions(url, connections=2, deadline_seconds=DEADLINE_SECONDS)
        replica = Replica(database, reading, age_seconds_max)
        try:
            await story(replica)
        finally:
            await replica.close()
            await database.close()

    asyncio.run(run())


async def look_until_usable(replica: Replica) -> None:
    """It follows within milliseconds, or more on a busy machine."""
    deadline = time.monotonic() + FOLLOW_SECONDS_MAX
    while not replica.is_usable():
        assert time.monotonic() < deadline
        await replica.look()


def number(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT 5").scalar_one())


def test_a_replica_is_asked_from_the_first_look_on_until_it_falls_behind(primary: Stack, standby: Standby) -> None:
    async def story(replica: Replica) -> None:
        assert not replica.is_usable()
        await look_until_usable(replica)
        assert await replica.run(number) == 5
        await asyncio.to_thread(standby.pause)
        await asyncio.to_thread(primary.command, "keys", "create", "--scope", "*", "--name", "a write")
        async with asyncio.timeout(FOLLOW_SECONDS_MAX):
            while replica.is_usable():
                await asyncio.sleep(LOOK_SECONDS)
                await replica.look()
        await asyncio.to_thread(standby.resume)
        await asyncio.to_thread(standby.catch_up)
        await look_until_usable(replica)

    use(primary, standby.url("DATABASE_API_URL"), story, SHORT_SECONDS)


def test_a_replica_that_dies_is_left_alone_from_the_first_failure_on_and_found_again(
    primary: Stack, standby: Standby
) -> None:
    async def story(replica: Replica) -> None:
        await look_until_usable(replica)
        await asyncio.to_thread(standby.stop, signal.SIGKILL)
        assert replica.is_usable()
        with pytest.raises(DatabaseError):
            await replica.run(number)
        assert not replica.is_usable()
        await replica.look()
        assert not replica.is_usable()
        await asyncio.to_thread(standby.start)
        await asyncio.to_thread(standby.catch_up)
        await replica.look()
        assert await replica.run(number) == 5

    use(primary, standby.url("DATABASE_API_URL"), story)


def test_a_replica_that_is_frozen_costs_a_read_a_second_and_the_next_ones_nothing(
    primary: Stack, standby: Standby
) -> None:
    async def story(replica: Replica) -> None:
        await look_until_usable(replica)
        standby.freeze()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await replica.run(number)
        assert time.monotonic() - began < 2 * DEADLINE_SECONDS  # Another try would take as long again.
        assert not replica.is_usable()
        standby.thaw()

    use(primary, standby.url("DATABASE_API_URL"), story)


def test_a_read_that_the_replica_takes_back_does_not_keep_others_away(primary: Stack, standby: Standby) -> None:
    """What stands in the way of replay is canceled with 40001."""

    def cancel(connection: Connection) -> None:
        connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$")

    async def story(replica: Replica) -> None:
        await look_until_usable(replica)
        with pytest.raises(DatabaseError):
            await replica.run(cancel)
        assert replica.is_usable()

    use(primary, standby.url("DATABASE_API_URL"), story)


def test_a_replica_that_was_promoted_is_not_asked(primary: Stack, standby: Standby) -> None:
    async def story(replica: Replica) -> None:
        await look_until_usable(replica)
        await asyncio.to_thread(standby.promote)
        await replica.look()
        assert not replica.is_usable()

    use(primary, standby.url("DATABASE_API_URL"), story)


def test_a_server_that_is_the_primary_or_of_another_cluster_is_not_asked(primary: Stack, servers: Stack) -> None:
    async def story(replica: Replica) -> None:
        assert await replica.look() == NEVER
        assert not replica.is_usable()

    use(primary, primary.env["DATABASE_API_URL"], story)
    use(primary, on(servers.env["DATABASE_API_URL"], "tekana"), story)


def test_while_the_primary_is_silent_what_the_replica_shows_grows_old(primary: Stack, standby: Standby) -> None:
    async def story(replica: Replica) -> None:
        await look_until_usable(replica)
        primary.hold("postgres")
        try:
            ages = [await replica.look() for _ in range(2)]
            assert ages[0] < ages[1] < AGE_SECONDS_MAX
            assert replica.is_usable()
            replica._age_seconds_max = ages[1] + 0.5  # noqa: SLF001 - a minute would pass, which nobody wants to wait
            await asyncio.sleep(1)
            assert not replica.is_usable()
        finally:
            primary.release("postgres")

    use(primary, standby.url("DATABASE_API_URL"), story)
