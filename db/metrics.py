"""What the rows say of how it goes, for scrapers: whatever has piled up, an answer costs little."""

import msgspec
from sqlalchemy import Connection, text

import db.outbox
from db.outbox import Totals
from domain.jobs import QUEUE_OF, Queue

COUNTED_MAX = 20_000  # Jobs of a queue, or failed ones, that are counted: with more of them "many" is the answer.


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """The queued jobs of one kind, among the oldest COUNTED_MAX of their queue."""

    queue: str
    kind: str
    jobs: int = 0
    retried: int = 0  # Jobs that were tried before, and whose batch failed or died.
    oldest_seconds: float = 0.0  # Since the acceptance of the oldest one.


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    backlogs: list[Backlog]
    failed_jobs: int
    endpoints: dict[str, int]  # By how they are: see ENDPOINT_STATES.
    webhooks: Totals
    unsealed_seconds: float  # Since the oldest transaction that is in no block was posted.


# Disabled by itself is what somebody should hear of: by its owner, or with its key, it was wanted.
ENDPOINT_STATES = ("succeeding", "failing", "disabled", "disabled_by_failures")


def snapshot(connection: Connection) -> Snapshot:
    """Read what changes all the time; each kind and each state is there, also when it has nothing."""
    parameters = {"queues": [queue.value for queue in Queue], "most": COUNTED_MAX}
    found = [msgspec.convert(row, Backlog, from_attributes=True) for row in connection.execute(BACKLOGS, parameters)]
    return Snapshot(
        backlogs=found + _empty(found),
        failed_jobs=connection.scalar(FAILED_JOBS, {"most": COUNTED_MAX}) or 0,
        endpoints=dict.fromkeys(ENDPOINT_STATES, 0)
        | {row.state: row.endpoints for row in connection.execute(ENDPOINTS)},
        webhooks=db.outbox.totals(connection),
        unsealed_seconds=connection.scalar(UNSEALED_SECONDS) or 0.0,
    )


def _empty(found: list[Backlog]) -> list[Backlog]:
    waiting = {(one.queue, one.kind) for one in found}
    kinds = [(queue.value, kind.value) for kind, queue in QUEUE_OF.items()]
    return [Backlog(queue=queue, kind=kind) for queue, kind in kinds if (queue, kind) not in waiting]


# A queue is read from its oldest job on: `jobs_queued` has them in order of arrival.
BACKLOGS = text("""
    SELECT wanted.queue, head.kind, count(*) AS jobs, count(*) FILTER (WHERE head.attempts > 0) AS retried,
           CAST(greatest(extract(epoch FROM clock_timestamp() - min(head.created_at)), 0) AS double precision)
               AS oldest_seconds
      FROM unnest(CAST(:queues AS text[])) AS wanted (queue),
           LATERAL (SELECT kind, attempts, created_at FROM jobs
                     WHERE jobs.queue BETWEEN wanted.queue AND wanted.queue AND state = 'queued'
                     ORDER BY jobs.queue, id LIMIT :most) AS head
     GROUP BY wanted.queue, head.kind
""")
FAILED_JOBS = text("SELECT count(*) FROM (SELECT FROM jobs WHERE state = 'failed' ORDER BY id LIMIT :most) AS failed")
ENDPOINTS = text("""
    SELECT CASE WHEN enabled AND failing_since IS NULL THEN 'succeeding' WHEN enabled THEN 'failing'
                WHEN disabled_reason IN ('answered_410', 'no_success_for_too_long') THEN 'disabled_by_failures'
                ELSE 'disabled' END AS state, count(*) AS endpoints
      FROM webhook_endpoints WHERE deleted_at IS NULL GROUP BY 1
""")
# The first of those that the chain's index has from the last block's end on.
UNSEALED_SECONDS = text("""
    SELECT CAST(greatest(extract(epoch FROM clock_timestamp() - posted_at), 0) AS double precision)
      FROM transactions
     WHERE xact_id >= (SELECT before_xact_id FROM blocks ORDER BY number DESC LIMIT 1) ORDER BY xact_id LIMIT 1
""")


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger of one currency; amounts in minor units."""

    currency: str
    trial_balance: int  # Of all wallets together: nothing but 0 is right.
    customer_funds: int  # What customers hold.
    unfolded_entries: int  # Entries that the system wallets' balances do not show yet.


def books(connection: Connection) -> list[Book]:
    """Add up each currency's wallets, and what was posted to the system's since their last fold.

    Currencies that nobody uses are left out. One statement sees one moment: whatever moves meanwhile, both sides of
    it are in the sum or neither. It reads every wallet, 0.3 s for a million, and no entry that was folded.
    """
    return [
        Book(
            currency=row.currency,
            trial_balance=int(row.trial_balance),
            customer_funds=int(row.customer_funds),
            unfolded_entries=row.unfolded_entries,
        )
        for row in connection.execute(BOOKS)
    ]


BOOKS = text("""
    WITH held AS (
        SELECT currency, sum(balance) AS total, count(customer_id) AS wallets,
               coalesce(sum(balance) FILTER (WHERE customer_id IS NOT NULL), 0) AS funds
          FROM wallets GROUP BY currency),
    unfolded AS (
        SELECT system.currency, sum(entries.amount) AS total, count(*) AS entries
          FROM wallets AS system JOIN entries ON entries.wallet_id = system.id AND entries.xact_id >= folded_before
         WHERE system.customer_id IS NULL GROUP BY system.currency)
    SELECT currency, held.total + coalesce(unfolded.total, 0) AS trial_balance,
           held.funds AS customer_funds, coalesce(unfolded.entries, 0) AS unfolded_entries
      FROM held LEFT JOIN unfolded USING (currency)
     WHERE held.wallets > 0 OR held.total <> 0 OR unfolded.entries > 0 ORDER BY currency
""")
