"""How many open jobs a caller may have, and how rarely that is looked at."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Connection

import db.jobs
from api.open_jobs import OpenJobs
from domain.jobs import JobState, Kind, Submission
from domain.transactions import Movement
from tests import made

MOST = 40  # So that a process may accept 10 of a caller without a look, as long as 20 are not reached.


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Note whose jobs are counted, each time that some are."""
    found: list[list[str]] = []
    count = db.jobs.open_counts

    def noted(connection: Connection, callers: Sequence[str], most: int) -> dict[str, int]:
        found.append(list(callers))
        return count(connection, callers, most)

    monkeypatch.setattr(db.jobs, "open_counts", noted)
    return found


def accept(tx: Connection, open_jobs: OpenJobs, count: int, caller: str = "a") -> int:
    """Accept so many jobs of a caller, as far as there is room; return how many."""
    admitted = admit(tx, open_jobs, [made.submission(caller=caller) for _ in range(count)])
    db.jobs.stage(tx, admitted)
    return len(admitted)


def admit(tx: Connection, open_jobs: OpenJobs, new: Sequence[Submission]) -> Sequence[Submission]:
    """Look at those who must be looked at first, as a flush does."""
    if near := open_jobs.near(new):
        open_jobs.look(tx, near)
    return open_jobs.admit(new)


def test_without_a_limit_nobody_looks(tx: Connection, looks: list[list[str]]) -> None:
    assert accept(tx, OpenJobs(0), 100) == 100
    assert looks == []


def test_who_is_far_from_the_limit_is_looked_at_once_for_many_jobs(tx: Connection, looks: list[list[str]]) -> None:
    open_jobs = OpenJobs(MOST)
    assert [accept(tx, open_jobs, 1) for _ in range(11)] == [1] * 11
    assert looks == [["a"]] * 2


def test_callers_of_a_flush_are_looked_at_together_and_only_those_who_must_be(
    tx: Connection, looks: list[list[str]]
) -> None:
    open_jobs = OpenJobs(MOST)
    accept(tx, open_jobs, 1, "a")
    admit(tx, open_jobs, [made.submission(caller=caller) for caller in "cab"])
    assert looks == [["a"], ["b", "c"]]


@pytest.mark.parametrize(
    ("before", "coming", "admitted"), [(0, 40, 40), (0, 41, 40), (39, 2, 1), (40, 1, 0), (45, 1, 0)]
)
def test_the_limit_is_kept(tx: Connection, before: int, coming: int, admitted: int) -> None:
    for _ in range(before):
        made.job(tx, caller="a")
    assert accept(tx, OpenJobs(MOST), coming) == admitted


def test_the_limit_is_kept_one_by_one_and_is_each_callers_own(tx: Connection) -> None:
    open_jobs = OpenJobs(MOST)
    assert sum(accept(tx, open_jobs, 1) for _ in range(MOST + 5)) == MOST
    assert accept(tx, open_jobs, 1, "b") == 1


def test_who_is_near_the_limit_is_looked_at_each_time(tx: Connection, looks: list[list[str]]) -> None:
    accept(tx, OpenJobs(MOST), 20)
    looks.clear()
    open_jobs = OpenJobs(MOST)
    for _ in range(3):
        accept(tx, open_jobs, 1)
    assert looks == [["a"]] * 3


def test_there_is_room_again_once_jobs_have_ended(tx: Connection) -> None:
    open_jobs = OpenJobs(MOST)
    assert accept(tx, open_jobs, MOST + 1) == MOST
    ending = db.jobs.claim(tx, made.submission().queue, 5)
    db.jobs.finish(tx, [made.outcome(job.id, JobState.REJECTED) for job in ending])
    assert accept(tx, open_jobs, MOST) == 5


def test_what_another_process_accepts_meanwhile_exceeds_the_limit_by_a_quarter_at_most(tx: Connection) -> None:
    one, other = OpenJobs(MOST), OpenJobs(MOST)
    taken = accept(tx, one, 1)
    taken += sum(accept(tx, other, 1) for _ in range(2 * MOST))
    taken += sum(accept(tx, one, 1) for _ in range(2 * MOST))
    assert MOST < taken <= MOST + MOST // 4


def test_a_bulk_counts_as_its_items_and_is_accepted_whole_where_it_begins_below_the_limit(tx: Connection) -> None:
    bulk = made.bulk_transfer(*[Movement(amount=1, currency="RWF")] * MOST)
    open_jobs = OpenJobs(MOST)
    assert accept(tx, open_jobs, 1, bulk.caller) == 1
    db.jobs.stage(tx, admit(tx, open_jobs, [bulk]))
    assert [accept(tx, one, 1, bulk.caller) for one in (open_jobs, OpenJobs(MOST))] == [0, 0]


def test_jobs_of_every_kind_count(tx: Connection) -> None:
    made.job(tx, Kind.WALLET_OPEN, caller="a")
    assert accept(tx, OpenJobs(2), 2) == 1
