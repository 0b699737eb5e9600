"""The whole system with the settings of a test's own, and clients whose transfers must all end well."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from sqlalchemy import create_engine

from local.stack import Stack
from tests.conftest import environment, reachable_folder
from tests.flows.books import Strike, reconcile
from tests.flows.load import Load
from tests.flows.world import World
from tests.operations.figures import Operation, of_load

TRANSFERS_MAX = 20_000
CLIENTS = 16
PAUSE_SECONDS = 0.02  # About 500 transfers a second on two cores that the system shares.
BEFORE = 300  # Transfers until something happens: then all clients are at work.
AFTER = 200  # Transfers from its end.


@contextlib.contextmanager
def running(watched_at: str = "", **settings: str) -> Iterator[World]:
    """Run a system; `watched_at` is where the test itself looks into its database, if elsewhere. Ends with an audit."""
    with reachable_folder() as folder, Stack(folder, environment(**settings)) as stack:
        stack.start()
        with contextlib.closing(World(stack)) as world:
            if watched_at:
                world.engine = create_engine(watched_at, pool_pre_ping=True)
            world.start()
            world.fill()
            yield world
        stack.command("audit", "verify")  # Raises unless every invariant holds to the end.


@contextlib.contextmanager
def moved(world: World, settings: Mapping[str, str]) -> Iterator[World]:
    """Run another system on what became of a world's database; its clients are the same. Ends with an audit."""
    with reachable_folder() as folder, Stack(folder, environment(**settings)) as stack:
        stack.start()
        with contextlib.closing(World(stack)) as there:
            there.http.headers["Authorization"] = world.http.headers["Authorization"]
            there.wallets = world.wallets
            yield there
        stack.command("audit", "verify")


def shaken(world: World, name: str, shake: Callable[[], None]) -> tuple[Operation, list[str]]:
    """Break something under load; return the figures, and every promise that was broken."""
    with Load(world, TRANSFERS_MAX, CLIENTS, PAUSE_SECONDS) as load:
        load.wait_answered(BEFORE)
        at = datetime.now(UTC)
        shake()
        strike = Strike(at=at, back_at=datetime.now(UTC))
        receipts = load.finish(more=AFTER)
    trial, broken = reconcile(world, receipts, strike, name)
    return of_load(trial), broken
