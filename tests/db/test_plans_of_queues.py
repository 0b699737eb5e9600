"""What concerns a few jobs reads a few, however many wait, and whatever PostgreSQL knew of the queue when it planned.

A queue is empty in one minute and deep in the next; PostgreSQL counts the rows of a table after some hundredths of them
have changed, which for a large one is many more than ever wait.
"""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.deliveries
import db.jobs
import db.leases
import db.pressure
import db.turns
from db.pressure import Bounds
from db.rows import encode
from domain.jobs import JobState, Kind, Progress, Queue
from tests import made
from tests.plans import PLANS, Ask, rows_of_steps, rows_read, uuid_of

JOBS, FEW = 10_000, 100
ENDED_JOBS = JOBS // 5
ROWS_MAX = 3 * FEW  # Of the few, by an index and its table; and what a claim looks ahead at.
OLDEST = [UUID(int=number) for number in range(ENDED_JOBS + 1, ENDED_JOBS + FEW + 1)]  # Of those that wait.

ASKED: dict[str, Ask] = {
    "claim": lambda tx: db.jobs.claim(tx, Queue.TRANSACTIONS, FEW),
    "claim in turn": lambda tx: db.turns.claim(tx, Queue.TRANSACTIONS, FEW),
    "advance": lambda tx: db.jobs.advance(tx, OLDEST[0], Progress(done=1, total=2)),
    "defer": lambda tx: db.jobs.defer(tx, OLDEST, 1),
    "still to come": lambda tx: db.jobs.to_come(tx, Kind.DEPOSIT_CREATE, OLDEST),
    "count an attempt": lambda tx: db.leases.count_attempt(tx, _leased(tx)),
    "open jobs": lambda tx: db.jobs.open_counts(tx, ["another"], FEW),
    "depth of another queue": lambda tx: db.pressure.loads(
        tx, [Queue.CUSTOMERS], Bounds(shallow_jobs=FEW, jobs_max=FEW)
    ),
}


@pytest.fixture(autouse=True)
def clean(owner: Connection) -> None:
    """Forget the rows that another test has rolled back: an index has them, and who reads it meets them."""
    owner.rollback()
    with owner.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM jobs, events, webhook_deliveries")


def _leased(tx: Connection) -> UUID:
    lease_id = uuid7()
    db.leases.take(tx, lease_id, OLDEST, 0)
    return lease_id


def was_empty(tx: Connection) -> None:
    """Some have ended when PostgreSQL counts, and nothing waits; then the others come."""
    tx.execute(END_SOME)
    tx.execute(COUNT)
    tx.execute(QUEUE_OTHERS)


def was_deep(tx: Connection) -> None:
    """Most wait when PostgreSQL counts; then nearly all of them end, the newest, so that no claim meets dead rows."""
    tx.execute(END_SOME)
    tx.execute(QUEUE_OTHERS)
    tx.execute(COUNT)
    tx.execute(END_NEWEST)


END_SOME = text(f"""
    INSERT INTO jobs (id, kind, queue, state, caller, idempotency_key, fingerprint, payload, result, finished_at)
    SELECT {uuid_of("n")}, 'deposit.create', 'transactions', 'succeeded', 'c' || n % 50, n, '', '{{}}', '{{}}', now()
      FROM generate_series(1, {ENDED_JOBS}) AS n
""")  # noqa: S608 - constants
QUEUE_OTHERS = text(f"""
    INSERT INTO jobs (id, kind, queue, caller, idempotency_key, fingerprint, payload)
    SELECT {uuid_of("n")}, 'deposit.create', 'transactions', 'customer:' || n % 50, n, '', '{{}}'
      FROM generate_series({ENDED_JOBS + 1}, {JOBS}) AS n
""")  # noqa: S608 - constants
END_NEWEST = text(f"""
    UPDATE jobs SET state = 'succeeded', result = '{{}}', finished_at = now()
     WHERE state = 'queued' AND id > {uuid_of(str(ENDED_JOBS + 10 * FEW))}
""")  # noqa: S608 - constants
COUNT = text("ANALYZE jobs")


@pytest.mark.parametrize("plans", PLANS)
@pytest.mark.parametrize("past", [was_empty, was_deep])
@pytest.mark.parametrize("name", list(ASKED))
def test_what_concerns_a_few_jobs_reads_a_few(
    tx: Connection, name: str, past: Callable[[Connection], None], plans: str
) -> None:
    past(tx)
    assert rows_read(tx, ASKED[name], plans) <= ROWS_MAX


def test_the_end_of_a_batch_is_read_once_however_many_jobs_wait(tx: Connection) -> None:
    """In a small table PostgreSQL would read all of the batch anew for each job that waits, which it takes for one."""
    was_empty(tx)
    batch = encode([made.outcome(job_id, JobState.SUCCEEDED) for job_id in OLDEST])
    assert rows_of_steps(tx, db.jobs.FINISH.text, rows=batch) <= 3 * JOBS  # Not 8,000 times 100.


@pytest.mark.parametrize("plans", PLANS)
def test_a_claim_of_deliveries_reads_what_it_claims_however_many_are_due(tx: Connection, plans: str) -> None:
    tx.execute(text("SET LOCAL session_replication_role = replica"))  # References would take their time.
    tx.execute(EVENTS)
    tx.execute(DELIVERIES)
    tx.execute(text("ANALYZE events, webhook_deliveries"))
    assert rows_read(tx, lambda tx: db.deliveries.claim(tx, {LANE: SHARE}, 20), plans) <= 4 * SHARE


LANE, SHARE = UUID(int=1), 32
EVENTS = text(f"""
    INSERT INTO events (id, type, occurred_at, caller, data)
    SELECT {uuid_of("n")}, 'webhook.test', now(), 'key:k', '{{}}' FROM generate_series(1, {JOBS}) AS n
""")  # noqa: S608 - constants
DELIVERIES = text(f"""
    INSERT INTO webhook_deliveries (id, event_id, event_type, key_id, endpoint_id, state, finished_at)
    SELECT {uuid_of("n")}, {uuid_of("n")}, 'webhook.test', {uuid_of("1")}, {uuid_of("1")},
           CASE WHEN n % 2 = 0 THEN 'pending' ELSE 'succeeded' END, CASE WHEN n % 2 = 1 THEN now() END
      FROM generate_series(1, {JOBS}) AS n
""")  # noqa: S608 - constants
