"""Bulks as rows: a batch counts their items, lists are brief, and the audit compares each item with what was posted."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

import db.audit
import db.bulk_transfers
import db.events
import db.jobs
import db.transactions
from domain.bulk_transfers import transaction_ids
from domain.jobs import ATTEMPTS_EXHAUSTED, JobState, Outcome, Progress, Queue
from domain.transactions import Movement
from settings import Settings
from tests import made
from tests.databases import connected
from tests.made import CALLER, SEAL_KEY, bulk_transfer
from tests.plans import LOOK_BIGGER, rows_of_steps

ANYTHING = Movement(amount=1, currency="RWF")
BULKS, ITEMS = 5, 200
STEPS = 15  # Of the audit's plan that an item goes through.


@pytest.fixture
def job_id(tx: Connection) -> UUID:
    """A bulk of two items, of which the second was refused."""
    source, destination = made.wallet(tx), made.wallet(tx)
    made.deposit(tx, source, 5_00)
    amounts = (3_00, 3_00)
    items = [
        Movement(amount=one, currency="RWF", source_wallet_id=source, destination_wallet_id=destination)
        for one in amounts
    ]
    return made.settled_alone(tx, bulk_transfer(*items)).job_id


def staged(tx: Connection, *sizes: int) -> list[UUID]:
    """Stage a bulk for each size, or a single job for 0."""
    jobs = [bulk_transfer(*[ANYTHING] * size) if size else made.submission() for size in sizes]
    db.jobs.stage(tx, jobs)
    return [one.id for one in jobs]


@pytest.mark.parametrize(
    ("sizes", "batch_max", "expected"),
    [
        ([3, 3, 3, 3], 10, 3),
        ([3, 3, 3, 3], 12, 4),
        ([0, 0, 9, 0], 10, 2),
        ([0, 9, 0], 10, 2),
        ([30, 0, 0], 10, 1),
        ([0, 30, 0], 10, 1),
        ([0, 0, 0], 2, 2),
    ],
)
def test_a_batch_counts_the_items_of_bulks(tx: Connection, sizes: list[int], batch_max: int, expected: int) -> None:
    ids = staged(tx, *sizes)
    assert [job.id for job in db.jobs.claim(tx, Queue.TRANSACTIONS, batch_max)] == ids[:expected]


def test_a_bulk_that_somebody_else_settles_is_no_reason_to_claim_less(fresh: Settings) -> None:
    with connected(fresh.database_url) as one, connected(fresh.database_url) as other:
        ids = staged(one, 6, 6, 0, 0)
        one.commit()
        assert [job.id for job in db.jobs.claim(one, Queue.TRANSACTIONS, 10)] == ids[:1]
        assert [job.id for job in db.jobs.claim(other, Queue.TRANSACTIONS, 10)] == ids[1:]


def test_what_somebody_else_settles_makes_no_room_for_larger_ones(fresh: Settings) -> None:
    with connected(fresh.database_url) as one, connected(fresh.database_url) as other:
        ids = staged(one, 0, 0, 0, 0, 9, 9, 9)
        one.commit()
        # One of the four is free, and four jobs were counted.
        one.execute(text("SELECT FROM jobs WHERE id = ANY(:ids) FOR UPDATE"), {"ids": ids[1:4]})
        assert [job.id for job in db.jobs.claim(other, Queue.TRANSACTIONS, 10)] == [ids[0], ids[4]]


def test_a_bulk_says_how_far_it_is(tx: Connection) -> None:
    queued, canceled, failed = staged(tx, 4, 4, 4)
    db.jobs.cancel(tx, canceled)
    db.jobs.finish(tx, [Outcome(job_id=failed, state=JobState.FAILED, error=ATTEMPTS_EXHAUSTED)])
    shown = {one.id: one.progress for one in db.jobs.page(tx, db.jobs.Filter(caller=CALLER), None, 10)}
    for job in (queued, canceled, failed):
        stored = db.jobs.find(tx, job)
        assert stored is not None
        assert (shown[job], stored.job.progress) == (Progress(done=0, total=4),) * 2
    told = tx.execute(text("SELECT type, data FROM events ORDER BY id")).all()
    assert [one.type for one in told] == ["bulk_transfer.canceled", "bulk_transfer.failed"]
    assert told[1].data["progress"] == {"done": 0, "total": 4}


def test_an_item_is_a_transaction_of_its_job(tx: Connection, job_id: UUID) -> None:
    first, second = transaction_ids(job_id, 2)
    found = db.transactions.find(tx, first)
    assert found is not None
    assert (found.id, found.job_id, db.transactions.find(tx, second)) == (first, job_id, None)


def test_lists_leave_the_items_out(tx: Connection, job_id: UUID) -> None:
    stored = db.jobs.find(tx, job_id)
    assert stored is not None
    assert stored.job.result is not None
    assert [item["state"] for item in stored.job.result["items"]] == ["succeeded", "rejected"]
    [listed] = db.jobs.page(tx, db.jobs.Filter(kind=stored.job.kind), None, 10)
    assert listed.result == {"succeeded": 1, "rejected": 1}


NO_BULK = "UPDATE jobs SET kind = 'webhook.replay' WHERE id = '{job}'"
MORE = """
    WITH posted AS (UPDATE transactions SET id = '{third}' WHERE id = '{first}')
    UPDATE jobs SET result = jsonb_set(result, '{{items,0,transaction_id}}', '"{third}"') WHERE id = '{job}'
"""
TAMPERED = [
    ("jobs {job}", "UPDATE jobs SET state = 'rejected', result = NULL, error = '{{}}' WHERE id = '{job}'"),
    ("jobs {job}", "DELETE FROM transactions WHERE job_id = '{job}'"),
    ("jobs {job}", "UPDATE transactions SET id = '{second}' WHERE id = '{first}'"),
    ("jobs {job}", "UPDATE jobs SET result = jsonb_set(result, '{{succeeded}}', '2') WHERE id = '{job}'"),
    ("jobs {job}", "UPDATE jobs SET result = jsonb_set(result, '{{items}}', '[]') WHERE id = '{job}'"),
    ("transactions of {job}", NO_BULK),
    ("transactions of {job}", "DELETE FROM jobs WHERE id = '{job}'"),
    ("jobs {job}", "UPDATE transactions SET job_id = '{other}' WHERE job_id = '{job}'"),
    ("jobs {job}", "UPDATE transactions SET amount = amount + 1 WHERE job_id = '{job}'"),
    ("jobs {job}", "UPDATE transactions SET destination_wallet_id = '{other}' WHERE job_id = '{job}'"),
    ("jobs {job}", "UPDATE jobs SET payload = jsonb_set(payload, '{{items,0,amount}}', '7') WHERE id = '{job}'"),
    (
        "jobs {job}",
        "UPDATE jobs SET payload = jsonb_set(payload, '{{items,0,currency}}', '\"USD\"') WHERE id = '{job}'",
    ),
    ("jobs {job}", "UPDATE jobs SET payload = payload - 'items' WHERE id = '{job}'"),
    ("jobs {job}", MORE),
]


@pytest.mark.parametrize(("row", "statement"), TAMPERED)
def test_the_audit_names_a_bulk_that_is_not_what_was_posted(
    tx: Connection, job_id: UUID, row: str, statement: str
) -> None:
    first, second, third = transaction_ids(job_id, 3)
    names: dict[str, Any] = {"job": job_id, "first": first, "second": second, "third": third, "other": UUID(int=7)}
    assert audited(tx) == set()
    tx.execute(text("SET LOCAL session_replication_role = replica"))
    tx.exec_driver_sql(statement.format(**names))
    assert row.format(**names) in audited(tx)


def audited(tx: Connection) -> set[str]:
    """Return the rows that the checks of what was applied find."""
    found = dict(db.audit.in_turn(tx, SEAL_KEY))
    return {one.row for name in found if name.startswith("I2") for one in found[name]}


def test_the_audit_looks_at_each_item_a_few_times_however_many_there_are(tx: Connection) -> None:
    """PostgreSQL takes an array for a hundred rows, and would look for each row through all items of its bulk."""
    source, destination = made.wallet(tx), made.wallet(tx)
    made.deposit(tx, source, BULKS * ITEMS)
    item = Movement(amount=1, currency="RWF", source_wallet_id=source, destination_wallet_id=destination)
    tx.execute(text("ANALYZE jobs"))  # PostgreSQL knows of no bulk yet, and of many jobs.
    tx.execute(LOOK_BIGGER, {"times": 1_000, "tables": ["jobs"]})
    for _ in range(BULKS):
        made.settled_alone(tx, bulk_transfer(*[item] * ITEMS))
    tx.execute(text("ANALYZE transactions"))
    assert rows_of_steps(tx, db.bulk_transfers.APPLIED_ONCE) <= STEPS * BULKS * ITEMS
