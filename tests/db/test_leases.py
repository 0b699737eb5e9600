"""A lease says which jobs a batch holds; whoever can lock it knows that the batch is dead."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.jobs
import db.leases
from db.leases import Counted
from domain.errors import Rejection
from domain.jobs import ATTEMPTS_EXHAUSTED, ATTEMPTS_MAX, JobState, Kind, Outcome, rejected
from settings import Settings
from tests import made
from tests.databases import connected, wait_until_blocked


def test_a_lease_can_be_dropped_once(tx: Connection) -> None:
    lease_id = leased(tx, [])
    assert [db.leases.drop(tx, lease_id) for _ in range(2)] == [True, False]


def test_a_lease_is_an_orphan_once_it_is_old_enough(tx: Connection) -> None:
    leased(tx, [])
    old = leased(tx, [], seconds_ago=3)
    assert db.leases.orphans(tx, 2) == [old]
    assert db.leases.orphans(tx, 4) == []


def test_a_lease_that_a_living_worker_holds_is_no_orphan(fresh: Settings) -> None:
    with connected(fresh.database_worker_url) as worker, connected(fresh.database_worker_url) as sweeper:
        lease_id = leased(worker, [], seconds_ago=60)
        worker.commit()
        db.leases.drop(worker, lease_id)
        assert db.leases.orphans(sweeper, 2) == []
        worker.rollback()  # It failed, or died.
        assert db.leases.orphans(sweeper, 2) == [lease_id]


def test_taking_a_lease_needs_no_flush_to_disk_and_nothing_else_loses_its_own(worker_tx: Connection) -> None:
    db.leases.take(worker_tx, uuid7(), [], 0)
    assert worker_tx.scalar(text("SHOW synchronous_commit")) == "off"
    worker_tx.rollback()
    assert worker_tx.scalar(text("SHOW synchronous_commit")) == "on"


def test_an_attempt_is_counted_for_the_queued_jobs_of_the_lease_only(tx: Connection) -> None:
    queued, ended, other = made.job(tx), made.job(tx), made.job(tx)
    lease_id = leased(tx, [queued, ended])
    db.jobs.finish(tx, [rejected(ended, Rejection.SAME_WALLET)])
    assert db.leases.count_attempt(tx, lease_id) == Counted(kinds={queued: Kind.DEPOSIT_CREATE})
    assert attempts(tx) == {queued: 1, ended: 0, other: 0}
    assert not db.leases.drop(tx, lease_id)
    assert db.leases.count_attempt(tx) == Counted()


@pytest.mark.parametrize(("before", "seconds"), [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 4), (6, 8)])
def test_a_job_is_due_again_after_the_delay_of_its_attempts(tx: Connection, before: int, seconds: int) -> None:
    job_id = made.job(tx)
    tx.execute(text("UPDATE jobs SET attempts = :attempts, due_at = '2020-01-01'"), {"attempts": before})
    db.leases.count_attempt(tx, leased(tx, [job_id], before))
    assert attempts(tx) == {job_id: before + 1}
    assert tx.scalar(text("SELECT CAST(extract(epoch FROM due_at - now()) AS int) FROM jobs")) == seconds


def test_the_eighth_attempt_is_the_last(tx: Connection) -> None:
    last, earlier = made.job(tx), made.job(tx)
    tx.execute(text("UPDATE jobs SET attempts = CASE id WHEN :last THEN 7 ELSE 6 END"), {"last": last})
    counted = db.leases.count_attempt(tx, leased(tx, [last], 7), leased(tx, [earlier], 6))
    assert counted.kinds == dict.fromkeys([last, earlier], Kind.DEPOSIT_CREATE)
    assert counted.exhausted == [Outcome(job_id=last, state=JobState.FAILED, error=ATTEMPTS_EXHAUSTED)]


def test_a_job_that_several_leases_name_has_one_attempt_counted(tx: Connection) -> None:
    shared, own = made.job(tx), made.job(tx)
    leases = [leased(tx, [shared]), leased(tx, [shared, own])]
    db.leases.count_attempt(tx, *leases)
    assert attempts(tx) == {shared: 1, own: 1}
    assert [db.leases.drop(tx, lease_id) for lease_id in leases] == [False, False]


def test_an_attempt_is_counted_once_by_workers_that_met_the_batch_one_after_the_other(fresh: Settings) -> None:
    url = fresh.database_worker_url
    with connected(fresh.database_url) as owner, connected(url) as first, connected(url) as second:
        job_id = made.job(owner)
        leases = [leased(owner, [job_id]) for _ in range(2)]
        owner.commit()
        with ThreadPoolExecutor(1) as thread:
            assert db.leases.count_attempt(first, leases[0]).kinds == {job_id: Kind.DEPOSIT_CREATE}
            counting = thread.submit(db.leases.count_attempt, second, leases[1])
            wait_until_blocked(owner, counting)
            first.commit()
        assert counting.result() == Counted()
        second.commit()
        assert attempts(owner) == {job_id: 1}


@pytest.mark.parametrize("before", [0, ATTEMPTS_MAX - 1])
@pytest.mark.parametrize("numbered", [(), (0,), (ATTEMPTS_MAX - 1,)])
def test_leases_of_the_release_before_count_once_whatever_was_counted(
    tx: Connection, before: int, numbered: tuple[int, ...]
) -> None:
    job_id = made.job(tx)
    tx.execute(text("UPDATE jobs SET attempts = :before"), {"before": before})
    leases = [leased(tx, [job_id], number) for number in (*numbered, None, None)]
    counted = db.leases.count_attempt(tx, *leases)
    assert attempts(tx) == {job_id: before + 1}
    assert [outcome.job_id for outcome in counted.exhausted] == [job_id] * (before + 1 == ATTEMPTS_MAX)


def test_a_sweeper_that_frees_a_lease_does_not_wait_crosswise_with_the_worker_that_counts(fresh: Settings) -> None:
    url = fresh.database_worker_url
    with connected(fresh.database_url) as owner, connected(url) as worker, connected(url) as sweeper:
        lease_id = leased(owner, [made.job(owner)], seconds_ago=60)
        owner.commit()
        owner.execute(text("SELECT FROM jobs FOR UPDATE"))  # Another worker has claimed the job again.
        with ThreadPoolExecutor(1) as thread:
            counting = thread.submit(db.leases.count_attempt, worker, lease_id)
            with connected(fresh.database_url) as watcher:
                wait_until_blocked(watcher, counting)
            assert db.leases.orphans(sweeper, 2) == []
            owner.rollback()
        assert len(counting.result().kinds) == 1


def test_counting_for_a_lease_that_is_gone_does_nothing(tx: Connection) -> None:
    job_id = made.job(tx)
    lease_id = leased(tx, [job_id])
    db.leases.drop(tx, lease_id)
    assert db.leases.count_attempt(tx, lease_id) == Counted()
    assert attempts(tx) == {job_id: 0}


def leased(tx: Connection, job_ids: list[UUID], before: int | None = 0, *, seconds_ago: int = 0) -> UUID:
    """Take a lease; `before` is how often its jobs were tried, None of one of the release before."""
    lease_id = uuid7()
    db.leases.take(tx, lease_id, job_ids, before or 0)
    if before is None:
        tx.execute(text("UPDATE leases SET attempts = NULL WHERE id = :id"), {"id": lease_id})
    age = text("UPDATE leases SET taken_at = now() - make_interval(secs => :seconds) WHERE id = :id")
    tx.execute(age, {"seconds": seconds_ago, "id": lease_id})
    return lease_id


def attempts(tx: Connection) -> dict[UUID, int]:
    return {row.id: row.attempts for row in tx.execute(text("SELECT id, attempts FROM jobs"))}
