"""A deployment: each process in turn is asked to stop, and another takes its place."""

import os
import signal
import time
from datetime import UTC, datetime

import pytest

from local.stack import Stack
from tests.flows.bank import Bank
from tests.flows.books import Strike, reconcile
from tests.flows.conftest import Recorder
from tests.flows.faults import EVERYTHING, WORKER
from tests.flows.load import Load
from tests.flows.trials import Case
from tests.flows.world import World

pytestmark = pytest.mark.alone

PROCESSES = [name for name in EVERYTHING if name not in {"postgres", "redis"}]  # Their upgrade is no rolling stop.
TRANSFERS_MAX = 50_000
CLIENTS = 4
PAUSE_SECONDS = 0.02
AFTER = 50
STOP_SECONDS_MAX = 40.0
LOOK_SECONDS = 0.02


def test_a_rolling_stop_ends_each_process_in_time_and_fails_no_job(
    trial: Case, world: World, recorder: Recorder
) -> None:
    with Bank(world), Load(world, TRANSFERS_MAX, CLIENTS, PAUSE_SECONDS, draw=trial.draw) as load:
        load.wait_answered(CLIENTS)
        stopped = {name: _stop(world.stack, name) for name in trial.draw.sample(PROCESSES, len(PROCESSES))}
        receipts = load.finish(more=AFTER)
    # Nothing that a job depends on is ever away, so that each wait counts from its acceptance.
    strike = Strike(at=stopped[WORKER][0], back_at=stopped[WORKER][0])
    figures, broken = reconcile(world, receipts, strike, trial.row)
    recorder(figures)
    assert broken == []
    assert {name: seconds for name, (_, seconds) in stopped.items() if seconds > STOP_SECONDS_MAX} == {}


def _stop(stack: Stack, name: str) -> tuple[datetime, float]:
    """Ask a process to stop; return when that was, and how many seconds it took until the next one stood there."""
    pid, at, started = stack.pid(name), datetime.now(UTC), time.monotonic()
    os.kill(pid, signal.SIGTERM)
    while stack.pid(name) == pid and time.monotonic() - started <= STOP_SECONDS_MAX:
        time.sleep(LOOK_SECONDS)
    return at, time.monotonic() - started
