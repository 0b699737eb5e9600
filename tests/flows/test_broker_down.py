"""Without Redis the system goes on: it accepts as fast as ever, and the sweeper settles."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.flows.books import Strike, reconcile
from tests.flows.conftest import Recorder
from tests.flows.load import Load
from tests.flows.trials import Case
from tests.flows.world import World
from workers.sweeper import ABANDONED_SECONDS

pytestmark = pytest.mark.alone

POSTS = 400  # While it is away.
POSTS_AFTER = 50
CLIENTS = 4
# Each client's after a post: what the posts take makes out how long Redis is away.
PAUSE_SECONDS = {"Redis stays down for half a minute": 0.0, "Redis stays down for ten minutes": 600 * CLIENTS / POSTS}
ACCEPT_SECONDS_P99_MAX = 0.25
RETURN_SECONDS_MAX = 5.0  # Workers look for a lost broker every second, however long it has been away.


def test_without_redis_jobs_are_accepted_quickly_and_settled_by_the_sweeper(
    trial: Case, world: World, recorder: Recorder
) -> None:
    """And afterwards by workers again, as soon as ever, however long Redis was away."""
    at = datetime.now(UTC)
    world.stack.hold("redis")
    try:
        with Load(world, POSTS, CLIENTS, PAUSE_SECONDS[trial.row], draw=trial.draw) as load:
            receipts = load.finish()
        strike = Strike(at=at, back_at=at + timedelta(seconds=ABANDONED_SECONDS))
        figures, broken = reconcile(world, receipts, strike, trial.row)
    finally:
        world.stack.release("redis")
    recorder(figures)
    assert broken == []
    assert {receipt.tries for receipt in receipts} == {1}
    assert sorted(receipt.seconds for receipt in receipts)[len(receipts) * 99 // 100] <= ACCEPT_SECONDS_P99_MAX
    back_at = datetime.now(UTC)
    with Load(world, POSTS_AFTER, CLIENTS) as load:
        receipts = load.finish()
    figures, broken = reconcile(world, receipts, Strike(at=at, back_at=back_at), trial.row)
    assert broken == []
    assert figures.wait_seconds_max <= RETURN_SECONDS_MAX
