"""The story that examples tell: each of its events could have happened."""

import pytest

import api.story
from domain.events import EventType, types_of
from domain.jobs import Job, JobState


@pytest.mark.parametrize("one", [one for one in EventType if not one.startswith("webhook")])
def test_an_events_job_ended_as_its_type_says(one: EventType) -> None:
    job = api.story.event(one).data

    assert isinstance(job, Job)
    assert one in types_of(job.kind, job.state, with_wallet=True)
    assert (job.result is not None, job.error is not None) == (
        job.state is JobState.SUCCEEDED,
        job.state in {JobState.REJECTED, JobState.FAILED},
    )


@pytest.mark.parametrize("one", EventType)
def test_only_a_posted_movement_has_a_place_in_a_wallets_history(one: EventType) -> None:
    moved = one in {EventType.DEPOSIT_SUCCEEDED, EventType.WITHDRAWAL_SUCCEEDED, EventType.TRANSFER_SUCCEEDED}

    assert bool(api.story.event(one).sequences) is moved


def test_a_job_that_was_just_accepted_has_nothing_of_its_end() -> None:
    job = api.story.queued(api.story.REPLAY)

    assert job == Job(id=job.id, kind=job.kind, state=JobState.QUEUED, created_at=job.created_at)
