"""Processes whose clocks step by hours while money moves: whoever is wrong about the time loses and doubles nothing."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import text

from local.stack import Stack
from tests.flows.conftest import Recorder, Worlds
from tests.flows.strikes import struck
from tests.flows.trials import Case
from tests.flows.world import World

pytestmark = pytest.mark.alone

LIBRARY = "/usr/$LIB/faketime/libfaketimeMT.so.1"  # Debian's and Ubuntu's; the loader knows where its $LIB is.
STEPS_SECONDS = (-86_400, -3_600, -61, -1, 1, 61, 3_600, 86_400)
STEPS = 3
ID_TIME_SHIFT = 80  # Bits below the milliseconds (RFC 9562, section 5.7).
WRONG_SECONDS_MIN = 30.0  # Three of the steps are never all shorter.
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
    def step(_: World, draw: Random) -> datetime:
        for seconds in draw.sample(STEPS_SECONDS, STEPS):
            _set(clock, seconds)
            time.sleep(draw.uniform(*STEP_SECONDS))
        _set(clock, 0)
        return datetime.now(UTC)

    figures, broken = struck(clocked, trial, step)
    recorder(figures)
    assert broken == []
    assert _error_seconds_max(clocked) > WRONG_SECONDS_MIN  # Otherwise no process believed the file.


def _error_seconds_max(world: World) -> float:
    """Return by how much the API was wrong at most: it writes the time into ids, the server beside them."""
    with world.tx() as tx:
        rows = tx.execute(text("SELECT id, extract(epoch FROM created_at) AS at FROM jobs")).all()
    return max(abs(float(row.id.int >> ID_TIME_SHIFT) / 1_000 - float(row.at)) for row in rows)


def _set(clock: Path, seconds: int) -> None:
    new = clock.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n", encoding="ascii")
    new.replace(clock)
