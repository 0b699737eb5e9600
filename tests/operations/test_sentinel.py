"""The whole system with a Redis that fails over: REDIS_URL names sentinels, and nothing else is changed."""

from collections.abc import Iterator

import pytest

import redis_clients
from domain.jobs import FINISHED_CHANNEL
from tests.conftest import reachable_folder
from tests.flows.world import World
from tests.operations.conftest import Recorder
from tests.operations.worlds import running, shaken
from tests.sentinels import SENTINELS, Watched, watched

RATE = "10000000"  # Jobs a minute: never met, but counted in Redis as in production.


@pytest.fixture(scope="module")
def sentinels() -> Iterator[Watched]:
    with reachable_folder() as folder, watched(folder) as servers:
        yield servers


@pytest.fixture(scope="module")
def world(sentinels: Watched) -> Iterator[World]:
    with running(REDIS_URL=sentinels.url, POSTS_PER_MINUTE_MAX=RATE) as world:
        yield world


@pytest.mark.usefixtures("trial")
def test_no_job_is_lost_when_another_server_becomes_the_master(
    world: World, sentinels: Watched, recorder: Recorder
) -> None:
    figures, broken = shaken(world, "Redis' master is killed, and sentinels name another", sentinels.fail_over)
    recorder(figures)
    assert broken == []
    sentinels.heal()


@pytest.mark.usefixtures("trial")
def test_no_job_is_lost_when_a_sentinel_is_killed(world: World, sentinels: Watched, recorder: Recorder) -> None:
    figures, broken = shaken(world, "a sentinel is killed", lambda: sentinels.supervised.kill(SENTINELS[0]))
    recorder(figures)
    assert broken == []


def test_notices_cache_and_rates_find_the_new_master_too(world: World, sentinels: Watched) -> None:
    sentinels.fail_over()
    sentinels.heal()
    [opened] = world.open_wallets(1, 0)
    assert world.get(opened).state == "succeeded"
    with redis_clients.connect(sentinels.url, timeout_seconds=1) as master:
        assert master.pubsub_numsub(FINISHED_CHANNEL)[0][1] == 1
        assert master.exists(f"job:{opened}")
        assert list(master.scan_iter("LIMITS*"))
    assert world.http.get("/health/ready").json()["redis"] == "up"
