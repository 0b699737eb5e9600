"""Without Redis the system goes on: it accepts as fast as ever, and the sweeper settles."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.flows.books import Strike, reconcile
from tests.flows.conftest import Recorder
from tests.flows.load import Load
from tests.flows.onlookers import Onlooker
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
SLOWER_MAX = 2.0  # Times than the slowest plain commit meanwhile: where the disk stalls, that is not for want of Redis.
RETURN_SECONDS_MAX = 5.0  # Workers look for a lost broker every second, however long it has been away.


def test_without_redis_jobs_are_accepted_quickly_and_settled_by_the_sweeper(
    trial: Case, world: World, recorder: Recorder
) -> None:
    """And afterwards by workers again, as soon as ever, however long Redis was away."""
    at = datetime.now(UTC)
    world.stack.hold("redis")
    try:
        with Commits(world) as commits, Load(world, POSTS, CLIENTS, PAUSE_SECONDS[trial.row], draw=trial.draw) as load:
            receipts = load.finish()
        strike = Strike(at=at, back_at=at + timedelta(seconds=ABANDONED_SECONDS))
        figures, broken = reconcile(world, receipts, strike, trial.row)
    finally:
        world.stack.release("redis")
    recorder(figures)
    assert broken == []
    assert {receipt.tries for receipt in receipts} == {1}
    p99 = sorted(receipt.seconds for receipt in receipts)[len(receipts) * 99 // 100]
    assert p99 <= max(ACCEPT_SECONDS_P99_MAX, SLOWER_MAX * commits.seconds_max)
    back_at = datetime.now(UTC)
    with Load(world, POSTS_AFTER, CLIENTS) as load:
        receipts = load.finish()
    figures, broken = reconcile(world, receipts, Strike(at=at, back_at=back_at), trial.row)
    assert broken == []
    assert figures.wait_seconds_max <= RETURN_SECONDS_MAX


class Commits(Onlooker):
    """Commits again and again, as the API does; measures how long that takes at most."""

    look_seconds = 0.01

    def __init__(self, world: World) -> None:
        super().__init__()
        self.seconds_max = 0.0
        self._world = world

    def look(self) -> None:
        started = time.monotonic()
        with self._world.tx() as tx:
            tx.execute(WRITE)
        self.seconds_max = max(self.seconds_max, time.monotonic() - started)


WRITE = text("SELECT pg_logical_emit_message(true, 'a test', '')")  # Nobody reads it; the commit waits for the disk.
