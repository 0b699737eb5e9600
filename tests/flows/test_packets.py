"""The kernel drops packets between processes: no job is lost, doubled or late."""

import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from random import Random

import pytest

from tests.flows.conftest import Recorder
from tests.flows.links import Links
from tests.flows.packets import ALL, lost, own_network
from tests.flows.strikes import struck
from tests.flows.trials import Case
from tests.flows.ways import API, CLIENTS, REDIS, WORKERS, Ways
from tests.flows.world import World

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network of a test's own can only be made by root"),
]

LOST_SECONDS = (12.0, 20.0)  # Longer than every timeout that there is; an idle transaction ends after ten seconds.
SOME = 10  # Percent: far more than a network that anybody would keep.

LOSSES: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "no packet gets from the workers to PostgreSQL": (ALL, (WORKERS,)),
    "no packet gets from the API to PostgreSQL": (ALL, (API,)),
    "no packet gets to Redis": (ALL, (REDIS,)),
    "one packet in ten is lost, everywhere": (SOME, (API, WORKERS, REDIS, CLIENTS)),
}


@pytest.fixture(scope="module")
def ways() -> Iterator[Ways]:
    with own_network(), Links() as links:
        yield Ways(links)


def test_no_job_is_lost_or_doubled_or_late_when_packets_are_lost(
    trial: Case, linked: World, ways: Ways, recorder: Recorder
) -> None:
    percent, names = LOSSES[trial.row]

    def lose(_: World, draw: Random) -> datetime:
        with lost(percent, *(ways[name].port for name in names)):
            time.sleep(draw.uniform(*LOST_SECONDS))
        return datetime.now(UTC)

    figures, broken = struck(linked, trial, lose)
    recorder(figures)
    assert broken == []
