"""Links between processes become slow, lose packets, go silent or break: no job is lost, doubled or late."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from random import Random

import pytest

from tests.flows.conftest import Recorder
from tests.flows.links import Link, Links
from tests.flows.strikes import struck
from tests.flows.trials import IS_FULL, Case
from tests.flows.ways import API, CLIENTS, REDIS, WORKERS, Ways
from tests.flows.world import World

pytestmark = pytest.mark.alone

# In the full set longer than every timeout that there is; an idle transaction ends after ten seconds.
BEND_SECONDS = (12.0, 20.0) if IS_FULL else (3.0, 4.0)
DELAY_SECONDS = (0.02, 0.1)
LOSS = (0.01, 0.1)
RESETS = 10
RESET_PAUSE_SECONDS = 0.1

Bend = Callable[[Link, Random], None]


def slow(link: Link, draw: Random) -> None:
    with link.slow(draw.uniform(*DELAY_SECONDS), draw.uniform(*LOSS), draw):
        time.sleep(draw.uniform(*BEND_SECONDS))


def silent(link: Link, draw: Random) -> None:
    with link.silent():
        time.sleep(draw.uniform(*BEND_SECONDS))


def broken_again_and_again(link: Link, draw: Random) -> None:
    for _ in range(RESETS):
        link.reset()
        time.sleep(draw.uniform(0, RESET_PAUSE_SECONDS))


BENDS: Mapping[str, tuple[str, Bend]] = {
    "the workers' way to PostgreSQL is slow and loses packets": (WORKERS, slow),
    "the workers are cut off from PostgreSQL": (WORKERS, silent),
    "the API is cut off from PostgreSQL": (API, silent),
    "everybody is cut off from Redis": (REDIS, silent),
    "everybody's way to Redis is slow and loses packets": (REDIS, slow),
    "the clients' connections break": (CLIENTS, broken_again_and_again),
}


@pytest.fixture(scope="module")
def ways() -> Iterator[Ways]:
    with Links() as links:
        yield Ways(links)


def test_no_job_is_lost_or_doubled_or_late_on_a_network_where(
    trial: Case, linked: World, ways: Ways, recorder: Recorder
) -> None:
    way, bend = BENDS[trial.row]

    def fault(_: World, draw: Random) -> datetime:
        bend(ways[way], draw)
        return datetime.now(UTC)

    figures, broken = struck(linked, trial, fault)
    recorder(figures)
    assert broken == []
