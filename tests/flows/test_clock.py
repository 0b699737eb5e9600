"""Processes whose clocks step by hours while money moves: whoever is wrong about the time loses and doubles nothing."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from random import Random

import pytest

from local.stack import Stack
from tests.flows.conftest import Recorder, Worlds
from tests.flows.strikes import struck
from tests.flows.trials import Case
from tests.flows.world import World

pytestmark = pytest.mark.alone

LIBRARY = "/usr/$LIB/faketime/libfaketimeMT.so.1"  # Debian's and Ubuntu's; the loader knows where its $LIB is.
STEPS_SECONDS = (-86_400, -3_600, -61, -1, 1, 61, 3_600, 86_400)
STEPS = 3
TOLERANCE_SECONDS = 30.0  # Less than half of all steps but the shortest, of which three are never all.
BELIEF_SECONDS_MAX = 15.0  # One, on a machine that does much else.
BELIEF_POLL_SECONDS = 0.1
STEP_SECONDS = (0.5, 1.5)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the processes are told of the time (faketime(1), FAKETIME_TIMESTAMP_FILE)."""
    return tmp_path_factory.mktemp("clock") / "offset"


@pytest.fixture(scope="module")
def clocked_worlds(clock: Path) -> Iterator[Worlds]:
    """Worlds of whose processes all but the servers believe the file; what they measure by, goes on."""

    def lead(stack: Stack) -> str:
        _set(clock, 0)
        stack.env |= {
            "LD_PRELOAD": LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        return ""

    with contextlib.closing(Worlds(lead)) as worlds:
        yield worlds


@pytest.fixture
def clocked(clocked_worlds: Worlds) -> World:
    return clocked_worlds.current()


def test_no_job_is_lost_or_doubled_or_late_when_clocks_step(
    trial: Case, clocked: World, clock: Path, recorder: Recorder
) -> None:
    def step(world: World, draw: Random) -> datetime:
        for seconds in draw.sample(STEPS_SECONDS, STEPS):
            _set(clock, seconds)
            time.sleep(draw.uniform(*STEP_SECONDS))
            _wait_believed(world, seconds)
        _set(clock, 0)
        return datetime.now(UTC)

    figures, broken = struck(clocked, trial, step)
    recorder(figures)
    assert broken == []


def _wait_believed(world: World, seconds: int) -> None:
    """Wait until the API is as wrong as the file, by what it says the time is: new in each second, and kept nowhere.

    Its ids tell nothing of a trial: they never go back, and so stay ahead after a step of an earlier one.
    """
    deadline = time.monotonic() + BELIEF_SECONDS_MAX
    while abs(_error_seconds(world) - seconds) > TOLERANCE_SECONDS:
        assert time.monotonic() < deadline, f"the API does not believe that it is {seconds} s later"
        time.sleep(BELIEF_POLL_SECONDS)


def _error_seconds(world: World) -> float:
    said = parsedate_to_datetime(world.http.get("/health/live").headers["date"])
    return (said - datetime.now(UTC)).total_seconds()


def _set(clock: Path, seconds: int) -> None:
    new = clock.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n", encoding="ascii")
    new.replace(clock)
