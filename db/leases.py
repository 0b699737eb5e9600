"""Leases: which jobs a worker is settling right now, so that a death names the jobs it interrupted.

A lease is written beside the batch's transaction and deleted inside it. While the worker lives, its
transaction holds the row's lock; a lease that anyone can lock belongs to a batch that died or failed.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from domain.jobs import ATTEMPTS_EXHAUSTED, ATTEMPTS_MAX, JobState, Outcome, retry_delay_seconds


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs that an attempt was counted for, each with its kind, and the outcomes of those it was the last for."""

    kinds: dict[UUID, str] = {}
    exhausted: list[Outcome] = []


def take(connection: Connection, lease_id: UUID, job_ids: Sequence[UUID]) -> None:
    """Write the lease. It need not survive PostgreSQL itself: a crash there ends the batch as well."""
    connection.execute(TAKE, {"id": lease_id, "job_ids": list(job_ids)})


TAKE = text("""
    INSERT INTO leases (id, job_ids)
    SELECT :id, CAST(:job_ids AS uuid[]) FROM set_config('synchronous_commit', 'off', true)
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
    """Count an attempt for the leases' jobs that are still queued, and delete the leases.

    One for a job, however many of them name it: several workers may die of one batch before anybody counts,
    and the innocent in it have eight attempts only. The outcomes are still to be recorded.
    """
    delays = [retry_delay_seconds(attempts) for attempts in range(ATTEMPTS_MAX + 1)]
    rows = connection.execute(COUNT_ATTEMPT, {"leases": list(lease_ids), "delays": delays}).all()
    for lease_id in lease_ids:
        drop(connection, lease_id)
    failed = [row.id for row in rows if row.attempts >= ATTEMPTS_MAX]
    return Counted(
        kinds={row.id: row.kind for row in rows},
        exhausted=[Outcome(job_id=job_id, state=JobState.FAILED, error=ATTEMPTS_EXHAUSTED) for job_id in failed],
    )


# By the primary key, however deep the queue is. A subquery would be asked anew for each job that is queued, if none was
# when PostgreSQL last counted; and of those that are queued there is an index, which of unfinished ones there is not.
COUNT_ATTEMPT = text("""
    UPDATE jobs
       SET attempts = attempts + 1,
           due_at = now() + make_interval(
               secs => (CAST(:delays AS int[]))[least(attempts + 2, cardinality(CAST(:delays AS int[])))])
     WHERE id = ANY(ARRAY(SELECT unnest(job_ids) FROM leases WHERE id = ANY(CAST(:leases AS uuid[]))))
       AND finished_at IS NULL
 RETURNING id, kind, attempts
""")
