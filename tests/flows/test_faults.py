"""Anything may die while money moves: no job is lost, none is done twice, none waits for long."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.flows.books import Strike, reconcile
from tests.flows.conftest import TRIALS, Recorder
from tests.flows.faults import FAULTS
from tests.flows.load import Load, Receipt
from tests.flows.world import World

pytestmark = pytest.mark.alone

TRANSFERS_MAX = 5_000
CLIENTS = 16
PAUSE_SECONDS = 0.02  # About 500 transfers a second on two cores that the system shares.
BEFORE = 100  # Transfers until the fault: then all clients are at work.
AFTER = 100  # Transfers from its end.
AIM_SECONDS_MAX = 1.0
SERVING_SECONDS_MAX = 5.0  # From the return of all dependencies to the next accepted transfer.
LANDED_SHARE_MIN = 0.5  # Of the strikes: so many must meet jobs in flight, or they prove little.


@pytest.fixture(scope="module")
def landed() -> list[bool]:
    """Whether each strike met jobs in flight."""
    return []


@pytest.fixture(params=range(TRIALS))
def trial(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("trial")
def test_no_job_is_lost_or_doubled_or_late_when(
    fault: str, world: World, recorder: Recorder, landed: list[bool]
) -> None:
    with Load(world, TRANSFERS_MAX, CLIENTS, PAUSE_SECONDS) as load:
        load.wait_answered(BEFORE)
        _wait_queued(world)
        at = datetime.now(UTC)
        strike = Strike(at=at, back_at=FAULTS[fault](world))
        receipts = load.finish(more=AFTER)
    figures, broken = reconcile(world, receipts, strike, fault)
    recorder(figures)
    landed.append(figures.interrupted > 0)
    assert broken == []
    assert _seconds_to_serve(receipts, strike.back_at) < SERVING_SECONDS_MAX


def test_most_strikes_meet_jobs_in_flight(landed: list[bool]) -> None:
    assert sum(landed) >= LANDED_SHARE_MIN * len(landed)


def _wait_queued(world: World) -> None:
    """Aim: wait for a moment at which jobs are in flight."""
    deadline = time.monotonic() + AIM_SECONDS_MAX
    while time.monotonic() < deadline:
        with world.tx() as tx:
            if tx.scalar(text("SELECT EXISTS (SELECT FROM jobs WHERE state = 'queued')")):
                return


def _seconds_to_serve(receipts: list[Receipt], back_at: datetime) -> float:
    """Return how long after the return the next transfer was accepted; 0 when all were before."""
    later = [receipt.answered_at - back_at for receipt in receipts if receipt.answered_at > back_at]
    return min(later, default=timedelta()).total_seconds()
