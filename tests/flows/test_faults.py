"""Anything may die while money moves: no job is lost, none is done twice, none waits for long."""

import pytest

from tests.flows.conftest import Recorder
from tests.flows.faults import FAULTS
from tests.flows.strikes import struck
from tests.flows.trials import Case
from tests.flows.world import World

pytestmark = pytest.mark.alone

LANDED_SHARE_MIN = 0.5  # Of the strikes: so many must meet jobs in flight, or they prove little.


@pytest.fixture(scope="module")
def landed() -> list[bool]:
    """Whether each strike met jobs in flight."""
    return []


def test_no_job_is_lost_or_doubled_or_late_when(
    trial: Case, world: World, recorder: Recorder, landed: list[bool]
) -> None:
    figures, broken = struck(world, trial, FAULTS[trial.row])
    recorder(figures)
    landed.append(figures.interrupted > 0)
    assert broken == []


def test_most_strikes_meet_jobs_in_flight(landed: list[bool]) -> None:
    assert landed, "no strike was tried"
    assert sum(landed) >= LANDED_SHARE_MIN * len(landed)
