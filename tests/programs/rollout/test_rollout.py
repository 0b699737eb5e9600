"""A deployment and its accidents: clients behind nginx notice neither a killed API process nor a new release."""

import os
import signal
import time
from datetime import UTC, datetime

import httpx2
import pytest

from tests.flows.books import Strike, reconcile
from tests.flows.faults import EVERYTHING, WORKER
from tests.flows.load import Load, Receipt
from tests.programs.rollout.conftest import REPLICA, TRIALS, Platform, Tell

SERVERS = {"postgres", "redis"}  # Their upgrade is another matter.
TRANSFERS_MAX = 200_000
CLIENTS = 16
BEFORE, AFTER = 500, 500  # Transfers around the event.
STOP_SECONDS_MAX = 40.0
START_SECONDS_MAX = 30.0
LOOK_SECONDS = 0.02


@pytest.mark.parametrize("trial", range(TRIALS))
@pytest.mark.parametrize("name", ["api", REPLICA])
def test_killing_an_api_process_loses_no_accepted_job(trial: int, name: str, platform: Platform, tell: Tell) -> None:
    world, passed_on = platform.world, platform.passed_on()
    with Load(world, TRANSFERS_MAX, CLIENTS) as load:
        load.wait_answered(BEFORE)
        at = datetime.now(UTC)
        world.stack.wait_restarted(name, world.stack.kill(name))
        _wait_live(platform, name)
        receipts = load.finish(more=AFTER)
    figures, broken = reconcile(world, receipts, Strike(at=at, back_at=at), f"{name} is killed")
    passed_on = platform.passed_on() - passed_on
    tell(
        f"{name} killed, trial {trial + 1}: {figures.lost} lost, {figures.doubled} doubled, {_seen(load, receipts)}; "
        f"nginx passed {passed_on} on"
    )
    assert broken == []
    assert (load.refused, load.unanswered) == (0, 0)
    assert passed_on > 0  # Otherwise nothing was under way when it died.


@pytest.mark.parametrize("trial", range(TRIALS))
def test_a_rolling_restart_loses_and_fails_nothing(trial: int, platform: Platform, tell: Tell) -> None:
    with Load(platform.world, TRANSFERS_MAX, CLIENTS) as load:
        load.wait_answered(BEFORE)
        names = [name for name in (*EVERYTHING, REPLICA) if name not in SERVERS]
        stopped = {name: _roll(platform, name) for name in names}
        receipts = load.finish(more=AFTER)
    at = stopped[WORKER][0]
    figures, broken = reconcile(platform.world, receipts, Strike(at=at, back_at=at), "each process is rolled")
    slowest = max(stopped, key=lambda name: stopped[name][1])
    tell(
        f"{len(names)} processes rolled, trial {trial + 1}: {figures.lost} lost, {figures.doubled} doubled, "
        f"{_seen(load, receipts)}; slowest to stop: {slowest}, {stopped[slowest][1]:.1f} s"
    )
    assert broken == []
    assert (load.refused, load.unanswered) == (0, 0)
    assert stopped[slowest][1] < STOP_SECONDS_MAX


def _roll(platform: Platform, name: str) -> tuple[datetime, float]:
    """Ask a process to stop; return when, and after how many seconds another one was in its place."""
    stack = platform.world.stack
    pid, at, started = stack.pid(name), datetime.now(UTC), time.monotonic()
    os.kill(pid, signal.SIGTERM)
    while stack.pid(name) == pid and time.monotonic() - started <= STOP_SECONDS_MAX:
        time.sleep(LOOK_SECONDS)
    seconds = time.monotonic() - started
    _wait_live(platform, name)
    return at, seconds


def _wait_live(platform: Platform, name: str) -> None:
    """Wait, as an orchestrator does, until the new process of an API answers before the next one is stopped."""
    port = platform.api_ports.get(name)
    deadline = time.monotonic() + START_SECONDS_MAX
    while port is not None and not _is_live(port):
        assert time.monotonic() < deadline, f"{name} does not come back"
        time.sleep(LOOK_SECONDS)


def _is_live(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health/live", timeout=5, trust_env=False).is_success
    except httpx2.TransportError:
        return False


def _seen(load: Load, receipts: list[Receipt]) -> str:
    """Tell what the clients saw, in half a sentence."""
    ends = [receipt.answered_at for receipt in receipts]
    rate = len(receipts) / (max(ends) - min(ends)).total_seconds()
    seconds = sorted(receipt.seconds for receipt in receipts)
    return (
        f"{len(receipts)} transfers at {rate:.0f}/s, {load.refused} answers of 503, {load.unanswered} broken "
        f"connections; p50 {seconds[len(seconds) // 2] * 1000:.0f} ms, longest {seconds[-1]:.2f} s"
    )
