"""Leases: which jobs a worker is settling right now, so that a death names the jobs it interrupted.

A lease is written beside the batch's transaction and deleted inside it. While the worker lives, its
transaction holds the row's lock; a lease that anyone can lock belongs to a batch that died or failed.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, text

from domain.jobs import ATTEMPTS_EXHAUSTED, ATTEMPTS_MAX, JobState, Outcome, retry_delay_seconds


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs that an attempt was counted for, each with its kind, and the outcomes of those it was the last for."""

    kinds: dict[UUID, str] = {}
    exhausted: list[Outcome] = []


def take(connection: Connection, lease_id: UUID, job_ids: Sequence[UUID], attempts: int) -> None:
    """Write the lease for jobs that were tried `attempts` times before, each of them.

    It need not survive PostgreSQL itself: a crash there ends the batch as well.
    """
    connection.execute(TAKE, {"id": lease_id, "job_ids": list(job_ids), "attempts": attempts})


TAKE = text("""
    INSERT INTO leases (id, job_ids, attempts)
    SELECT :id, CAST(:job_ids AS uuid[]), :attempts FROM set_config('synchronous_commit', 'off', true)
""")


def drop(connection: Connection, lease_id: UUID) -> bool:
    """Delete the lease; False when the sweeper took it for a dead worker's."""
    return connection.execute(text("DELETE FROM leases WHERE id = :id"), {"id": lease_id}).rowcount == 1


def orphans(connection: Connection, older_than_seconds: float) -> list[UUID]:
    """Return the leases that no living worker holds."""
    rows = connection.execute(ORPHANS, {"seconds": older_than_seconds})
    return [row.id for row in rows]


ORPHANS = text("""
    SELECT id FROM leases WHERE taken_at < now() - make_interval(secs => :seconds) FOR UPDATE SKIP LOCKED
""")


def count_attempt(connection: Connection, *lease_ids: UUID) -> Counted:
    """Delete the leases, and count an attempt for their jobs that are still queued.

    One for a job, however many workers meet its batch before anybody has counted: it is counted only for jobs that
    were tried as often as when the lease was taken. The innocent in it have eight attempts only. The outcomes are
    still to be recorded.
    """
    taken = connection.execute(TAKE_BACK, {"ids": list(lease_ids)}).all()
    tried: dict[int | None, list[UUID]] = defaultdict(list)
    for lease in taken:
        tried[lease.attempts] += lease.job_ids
    unsaid_first = sorted(tried, key=lambda attempts: attempts is not None)
    rows = [row for attempts in unsaid_first for row in _count_attempt(connection, tried[attempts], attempts)]
    failed = [row.id for row in rows if row.attempts >= ATTEMPTS_MAX]
    return Counted(
        kinds={row.id: row.kind for row in rows},
        exhausted=[Outcome(job_id=job_id, state=JobState.FAILED, error=ATTEMPTS_EXHAUSTED) for job_id in failed],
    )


# First of all: who counts for a lease and who frees it both go from leases to jobs, and the second one finds none.
TAKE_BACK = text("DELETE FROM leases WHERE id = ANY(CAST(:ids AS uuid[])) RETURNING job_ids, attempts")


def _count_attempt(connection: Connection, job_ids: list[UUID], attempts: int | None) -> Sequence[Row[Any]]:
    connection.execute(LOCK, {"ids": job_ids})
    return connection.execute(COUNT_ATTEMPT, {"ids": job_ids, "attempts": attempts, "delays": DELAYS}).all()


DELAYS = [retry_delay_seconds(attempt) for attempt in range(ATTEMPTS_MAX + 1)]
# In one order, however PostgreSQL goes over them: two may count for the same jobs at once.
LOCK = text("""
    SELECT FROM jobs WHERE id = ANY(CAST(:ids AS uuid[])) AND finished_at IS NULL ORDER BY id FOR NO KEY UPDATE
""")
# By the primary key, however deep the queue is: of those that are queued there is an index, which of unfinished ones
# there is not. Who has waited for another one that counts finds what that one has counted. A lease of the release
# before does not say how often its jobs were tried; it comes first, for others to find what it has counted.
COUNT_ATTEMPT = text("""
    UPDATE jobs
       SET attempts = attempts + 1,
           due_at = now() + make_interval(
               secs => (CAST(:delays AS int[]))[least(attempts + 2, cardinality(CAST(:delays AS int[])))])
     WHERE id = ANY(CAST(:ids AS uuid[]))
       AND finished_at IS NULL
       AND attempts = coalesce(CAST(:attempts AS smallint), attempts)
 RETURNING id, kind, attempts
""")
