"""Whose job is still accepted: first those wait who fill the queue, and only twice as far everybody."""

import pytest

from domain.pressure import Load, Marks, Refusal, refusal, strain

MARKS = Marks(jobs_max=100, age_seconds_max=60, batch_max=10)
NO_AGE = Marks(jobs_max=100, age_seconds_max=0, batch_max=10)
NO_JOBS = Marks(jobs_max=0, age_seconds_max=60, batch_max=10)
LOW = Marks(jobs_max=100, age_seconds_max=60, batch_max=1_000)
NONE = Marks(jobs_max=0, age_seconds_max=0, batch_max=10)
SHARE, FULL = Refusal.CALLER_SHARE, Refusal.QUEUE_FULL


def load(jobs: int, oldest_seconds: float = 0.0, callers: int = 2) -> Load:
    return Load(jobs=jobs, oldest_seconds=oldest_seconds, callers=callers)


@pytest.mark.parametrize(
    ("found", "marks", "own", "expected"),
    [
        (load(0, callers=0), MARKS, 0, None),
        (load(99), MARKS, 99, None),
        (load(100), MARKS, 99, SHARE),
        (load(100), MARKS, 50, SHARE),
        (load(100), MARKS, 49, None),
        (load(100), MARKS, 0, None),
        (load(100, callers=1), MARKS, 100, SHARE),
        (load(100, callers=100), MARKS, 1, SHARE),
        (load(100, callers=100), MARKS, 0, None),
        (load(199), MARKS, 0, None),
        (load(200), MARKS, 0, FULL),
        (load(11, 59.9), MARKS, 10, None),
        (load(11, 60), MARKS, 10, SHARE),
        (load(11, 60), MARKS, 0, None),
        (load(11, 1_000), MARKS, 0, None),
        (load(11, 1_000), MARKS, 10, SHARE),
        (load(10, 120), MARKS, 10, None),
        (load(11, 1_000), NO_AGE, 10, None),
        (load(200), NO_AGE, 0, FULL),
        (load(1_000), NO_JOBS, 999, None),
        (load(1_000, 60), NO_JOBS, 999, SHARE),
        (load(1_000, 1_000), NONE, 999, None),
        (load(100), LOW, 99, SHARE),
        (load(200), LOW, 0, FULL),
        (load(99, 1_000), LOW, 99, None),
    ],
    ids=[
        "nothing waits",
        "below the mark, whoever fills it",
        "beyond the mark, more than the share",
        "all of the share",
        "less than the share",
        "nothing yet",
        "one caller alone",
        "every caller has one job, and so has this one",
        "every caller has one job, and this one none",
        "less than twice the mark",
        "twice the mark",
        "younger than the mark",
        "as old as the mark, more than the share",
        "as old as the mark, nothing yet",
        "much older, nothing yet",
        "much older, more than the share",
        "old, and no more than a batch",
        "no mark for the age",
        "the other mark holds",
        "no mark for the jobs",
        "and the other one holds",
        "no mark",
        "at a mark that is less than a batch",
        "twice that",
        "old, but below both",
    ],
)
def test_who_fills_a_queue_is_refused_first(found: Load, marks: Marks, own: int, expected: Refusal | None) -> None:
    assert refusal(found, marks, own=own) is expected


@pytest.mark.parametrize(("marks", "shallow"), [(MARKS, 10), (LOW, 99), (NO_JOBS, 10)])
def test_nobody_is_asked_whose_jobs_wait_in_a_queue_without_pressure(marks: Marks, shallow: int) -> None:
    assert marks.shallow_jobs == shallow
    assert strain(load(marks.shallow_jobs, 1_000), marks) < 1


@pytest.mark.parametrize(("own", "jobs", "expected"), [(1, 49, None), (1, 50, SHARE), (0, 51, None), (0, 1_000, None)])
def test_many_jobs_at_once_count_as_many_unless_they_are_their_callers_first(
    own: int, jobs: int, expected: Refusal | None
) -> None:
    assert refusal(load(100), MARKS, own=own, jobs=jobs) is expected


def test_nobodys_first_jobs_are_taken_by_a_queue_that_is_full() -> None:
    assert refusal(load(200), MARKS, own=0, jobs=1_000) is FULL


def test_the_worse_of_both_marks_counts() -> None:
    assert strain(load(50, 90), MARKS) == 1.5
    assert strain(load(150, 30), MARKS) == 1.5


@pytest.mark.parametrize(("marks", "expected"), [(MARKS, True), (NO_AGE, True), (NO_JOBS, True), (NONE, False)])
def test_marks_are_set_if_one_is(marks: Marks, expected: object) -> None:
    assert marks.are_set is expected
