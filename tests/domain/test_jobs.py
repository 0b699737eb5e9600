from datetime import UTC, datetime
from itertools import accumulate
from uuid import UUID

import pytest

from domain.errors import MESSAGES, Rejection
from domain.jobs import (
    ALONE_FROM_ATTEMPT,
    ATTEMPTS_MAX,
    QUEUE_OF,
    Job,
    JobState,
    Kind,
    Queue,
    batch_limit,
    rejected,
    retry_delay_seconds,
    succeeded,
)

JOB_ID = UUID(int=1)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempts", "batch_max", "expected"),
    [
        (0, 1_000, 1_000),
        (1, 1_000, 100),
        (2, 1_000, 10),
        (3, 1_000, 1),
        (4, 1_000, 1),
        (8, 1_000, 1),
        (1, 50_000, 5_000),
        (3, 50_000, 1),
        (0, 1, 1),
        (1, 1, 1),
        (2, 99, 1),
    ],
)
def test_a_batch_narrows_tenfold_with_each_attempt_until_a_job_is_alone(
    attempts: int, batch_max: int, expected: int
) -> None:
    assert batch_limit(attempts, batch_max) == expected


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 2), (6, 4), (7, 8), (8, 16), (10, 60), (99, 60)],
)
def test_a_job_waits_longer_after_each_failure_once_it_is_alone(attempts: int, expected: int) -> None:
    assert retry_delay_seconds(attempts) == expected


def test_all_attempts_are_made_within_fifteen_seconds() -> None:
    waits = [retry_delay_seconds(attempts) for attempts in range(ATTEMPTS_MAX)]
    assert list(accumulate(waits))[-1] == 15
    assert waits.index(1) == ALONE_FROM_ATTEMPT + 1


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_job_has_a_queue_that_is_not_housekeeping(kind: Kind) -> None:
    assert QUEUE_OF[kind] in set(Queue) - {Queue.MAINTENANCE}


@pytest.mark.parametrize(
    ("state", "is_finished_and_final"),
    [
        (JobState.QUEUED, (False, False)),
        (JobState.SUCCEEDED, (True, True)),
        (JobState.REJECTED, (True, True)),
        (JobState.FAILED, (True, False)),
        (JobState.CANCELED, (True, True)),
    ],
)
def test_only_a_failed_job_is_finished_and_may_still_change(
    state: JobState, is_finished_and_final: tuple[bool, bool]
) -> None:
    job = Job(id=JOB_ID, kind=Kind.WALLET_OPEN, state=state, created_at=NOW)
    assert (job.is_finished, job.is_final) == is_finished_and_final


@pytest.mark.parametrize("code", list(Rejection))
def test_every_rejection_says_its_code_and_a_sentence(code: Rejection) -> None:
    outcome = rejected(JOB_ID, code)
    assert outcome.state is JobState.REJECTED
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.message) == (code.value, MESSAGES[code])


def test_every_sentence_is_another_one() -> None:
    assert len(set(MESSAGES.values())) == len(Rejection)
    assert all(message.endswith(".") for message in MESSAGES.values())


def test_a_success_carries_its_result_and_no_error() -> None:
    outcome = succeeded(JOB_ID, wallet_id="w")
    assert (outcome.state, outcome.result, outcome.error) == (JobState.SUCCEEDED, {"wallet_id": "w"}, None)
