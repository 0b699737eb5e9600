"""Flows: whole stories with real processes. Figures of the faults are gathered and shown at the end."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from local.stack import Stack
from tests.conftest import environment, reachable_folder
from tests.flows.books import Trial
from tests.flows.figures import PROPERTY, table, write
from tests.flows.receivers import Receivers, register
from tests.flows.told import untold
from tests.flows.world import WEBHOOK_SETTINGS, World
from tests.reports import keep, kept

TRIALS = int(os.environ.get("FAULT_TRIALS", "1"))
FULL_FROM = 20  # Trials: somebody who asks for so many wants the long stories too.
IS_FULL = TRIALS >= FULL_FROM
RATE = "10000000"  # Jobs a minute: never met, but counted in Redis as in production.

Recorder = Callable[[Trial], None]


def scope(fixture_name: str, config: pytest.Config) -> Literal["module", "session"]:
    """Many trials leave so many rows that audits take longer than trials: then each module starts anew."""
    del fixture_name, config
    return "module" if IS_FULL else "session"


@pytest.fixture(scope=scope)
def world() -> Iterator[World]:
    """A system that flows may break, with counted rates: the last thing each test sees is that it works again.

    Somebody listens all the time, and must in the end have been told of every job that ended.
    """
    settings = environment(POSTS_PER_MINUTE_MAX=RATE, **WEBHOOK_SETTINGS)
    with reachable_folder() as folder, Stack(folder, settings) as stack, Receivers() as receivers:
        stack.start()
        with contextlib.closing(World(stack)) as world:
            world.start()
            listener = register(world, receivers.open())
            world.fill()
            yield world
            assert untold(world, listener) == []
        stack.command("audit", "verify")  # Raises unless every invariant holds to the end.


@pytest.fixture
def recorder(request: pytest.FixtureRequest) -> Recorder:
    """Keep a trial's figures with the test's report, from where the table is made."""
    return lambda trial: keep(request, PROPERTY, trial)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    trials = kept(terminalreporter, PROPERTY, Trial)
    if not trials:
        return
    terminalreporter.section("faults")
    terminalreporter.write(table(trials))
    if path := os.environ.get("FAULTS_TABLE"):
        write(Path(path), trials)
