"""One trial: a load, a fault in its midst, and the books afterwards."""

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

from msgspec.structs import replace
from sqlalchemy import text

from tests.flows.bank import Bank
from tests.flows.books import Strike, Trial, reconcile
from tests.flows.faults import Fault
from tests.flows.load import Load, Receipt
from tests.flows.trials import ROWS, Case, Row
from tests.flows.world import World

TRANSFERS_MAX = 50_000
CLIENTS = 16
PAUSE_SECONDS = 0.02  # About 500 transfers a second on two cores that the system shares.
BEFORE = (60, 120)  # Transfers until the fault: then all clients are at work.
AFTER = 60  # Transfers from its end.
AIM_SECONDS_MAX = 1.0
DELAY_SECONDS_MAX = 0.05  # After the aim, so that strikes fall in every stage of a batch.
SERVING_SECONDS_MAX = 5.0  # From the return of all dependencies to the next accepted transfer.
P99 = 0.99
SLOWER_MAX = 2.0  # Times, by the 99th percentile, where nobody is to notice anything.
# But that much nobody minds: each client may wait once for the answer of a Redis that gives none (0.25 s), and the
# system shares two cores with its clients.
NOTICED_SECONDS_MIN = 0.5


def struck(world: World, trial: Case, fault: Fault) -> tuple[Trial, list[str]]:
    """Break the world under load; return the figures and every promise that was broken."""
    draw = trial.draw
    with Bank(world), Load(world, TRANSFERS_MAX, CLIENTS, PAUSE_SECONDS, draw=draw) as load:
        load.wait_answered(draw.randint(*BEFORE))
        _wait_queued(world, draw)
        at = datetime.now(UTC)
        strike = Strike(at=at, back_at=fault(world, draw))
        receipts = load.finish(more=AFTER)
    figures, broken = reconcile(world, receipts, strike, trial.row)
    figures = replace(figures, missed=int(figures.interrupted == 0))
    return figures, broken + noticed(ROWS[trial.row], strike, receipts, load.refused + load.unanswered)


def noticed(row: Row, strike: Strike, receipts: Sequence[Receipt], failures: int) -> list[str]:
    """Return which promises to clients were broken, by their receipts and how many tries got none."""
    seconds = _seconds_to_serve(receipts, strike.back_at)
    away = (strike.back_at - strike.at).total_seconds()
    broken = [f"nothing was accepted for {seconds:.1f} s"] * (seconds > SERVING_SECONDS_MAX)
    broken += [f"it was not ready for {away:.1f} s"] * (away > row.away_seconds_max)
    if row.is_unnoticed:
        before = _p99([receipt.seconds for receipt in receipts if receipt.answered_at < strike.at])
        since = _p99([receipt.seconds for receipt in receipts if receipt.answered_at >= strike.at])
        broken += [f"{failures} tries were refused or not answered"] * (failures > 0)
        if since > max(SLOWER_MAX * before, NOTICED_SECONDS_MIN):
            broken.append(f"the 99th percentile of accept rose from {before:.3f} s to {since:.3f} s")
    return broken


def _wait_queued(world: World, draw: Random) -> None:
    """Aim: wait for a moment at which jobs are in flight, and another one."""
    deadline = time.monotonic() + AIM_SECONDS_MAX
    while time.monotonic() < deadline:
        with world.tx() as tx:
            if tx.scalar(text("SELECT EXISTS (SELECT FROM jobs WHERE state = 'queued')")):
                break
    time.sleep(draw.uniform(0, DELAY_SECONDS_MAX))


def _seconds_to_serve(receipts: Sequence[Receipt], back_at: datetime) -> float:
    """Return how long after the return the next transfer was accepted; without end when all were before."""
    later = [receipt.answered_at - back_at for receipt in receipts if receipt.answered_at > back_at]
    return min(later).total_seconds() if later else math.inf


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(len(seconds) * P99)]
