"""A deployment of the same release: no job fails, none is late, and each process stops in time."""

import pytest

from tests.flows.bank import Bank
from tests.flows.books import Strike, reconcile
from tests.flows.conftest import Recorder
from tests.flows.faults import WORKER
from tests.flows.load import Load
from tests.flows.rolling import roll, too_slow
from tests.flows.trials import Case
from tests.flows.world import World

pytestmark = pytest.mark.alone

TRANSFERS_MAX = 50_000
CLIENTS = 4
PAUSE_SECONDS = 0.02
AFTER = 50


def test_a_rolling_stop_ends_each_process_in_time_and_fails_no_job(
    trial: Case, world: World, recorder: Recorder
) -> None:
    with Bank(world), Load(world, TRANSFERS_MAX, CLIENTS, PAUSE_SECONDS, draw=trial.draw) as load:
        load.wait_answered(CLIENTS)
        stopped = roll(world.stack, trial.draw)
        receipts = load.finish(more=AFTER)
    # Nothing that a job depends on is ever away, so that each wait counts from its acceptance.
    strike = Strike(at=stopped[WORKER].at, back_at=stopped[WORKER].at)
    figures, broken = reconcile(world, receipts, strike, trial.row)
    recorder(figures)
    assert broken == []
    assert too_slow(stopped) == {}
