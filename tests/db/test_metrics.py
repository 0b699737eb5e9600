"""What scrapers are told of queues, endpoints and books is what stands in the rows, for the API's role to read."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

import db.chain
import db.jobs
import db.metrics
import db.transactions
from db.metrics import ENDPOINT_STATES, Backlog, Book
from domain.jobs import QUEUE_OF, JobState, Kind, Queue
from domain.transactions import Movement
from settings import Settings
from tests import databases, made


def test_without_a_job_each_kind_has_none_and_nobody_has_waited(api_tx: Connection) -> None:
    found = db.metrics.snapshot(api_tx).backlogs
    assert {(one.kind, one.queue) for one in found} == {(kind.value, queue.value) for kind, queue in QUEUE_OF.items()}
    assert {(one.jobs, one.retried, one.oldest_seconds) for one in found} == {(0, 0, 0.0)}


def test_queued_jobs_are_counted_by_kind_and_those_tried_before_apart(tx: Connection) -> None:
    first = made.job(tx, Kind.DEPOSIT_CREATE)
    made.job(tx, Kind.DEPOSIT_CREATE)
    made.job(tx, Kind.TRANSFER_CREATE)
    made.ended(tx, Kind.DEPOSIT_CREATE)
    tx.execute(text("UPDATE jobs SET attempts = 2 WHERE id = :id"), {"id": first})

    assert (waiting(tx, Kind.DEPOSIT_CREATE).jobs, waiting(tx, Kind.DEPOSIT_CREATE).retried) == (2, 1)
    assert (waiting(tx, Kind.TRANSFER_CREATE).jobs, waiting(tx, Kind.TRANSFER_CREATE).retried) == (1, 0)


def test_a_job_is_as_old_as_its_acceptance_however_often_it_was_put_off(tx: Connection) -> None:
    old, _ = made.job(tx, Kind.WALLET_OPEN), made.job(tx, Kind.WALLET_OPEN)
    tx.execute(text("UPDATE jobs SET created_at = now() - interval '90 seconds' WHERE id = :id"), {"id": old})
    db.jobs.defer(tx, [old], 5)

    assert waiting(tx, Kind.WALLET_OPEN).oldest_seconds == pytest.approx(90, abs=5)


def test_a_queue_is_counted_from_its_oldest_job_on_and_no_further_than_need_be(
    tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.metrics, "COUNTED_MAX", 3)
    for kind in (
        Kind.DEPOSIT_CREATE,
        Kind.DEPOSIT_CREATE,
        Kind.TRANSFER_CREATE,
        Kind.TRANSFER_CREATE,
        Kind.WALLET_OPEN,
    ):
        made.job(tx, kind)

    kinds = (Kind.DEPOSIT_CREATE, Kind.TRANSFER_CREATE, Kind.WALLET_OPEN)
    assert [waiting(tx, kind).jobs for kind in kinds] == [2, 1, 1]


def test_a_kind_that_only_a_newer_release_knows_is_counted_too(tx: Connection) -> None:
    made.job(tx)
    tx.execute(text("UPDATE jobs SET kind = 'hold.create'"))

    found = [one for one in db.metrics.snapshot(tx).backlogs if one.kind == "hold.create"]
    assert [(one.queue, one.jobs) for one in found] == [(Queue.TRANSACTIONS, 1)]


def test_failed_jobs_are_counted_until_they_are_requeued(tx: Connection) -> None:
    job_id = made.ended(tx, state=JobState.FAILED)
    made.ended(tx, state=JobState.REJECTED)
    assert db.metrics.snapshot(tx).failed_jobs == 1
    db.jobs.requeue(tx, [job_id])
    assert db.metrics.snapshot(tx).failed_jobs == 0


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("enabled = true", "succeeding"),
        ("failing_since = now()", "failing"),
        ("enabled = false, disabled_reason = 'disabled_by_owner'", "disabled"),
        ("enabled = false, disabled_reason = 'key_revoked', failing_since = now()", "disabled"),
        ("enabled = false, disabled_reason = 'answered_410'", "disabled_by_failures"),
        ("enabled = false, disabled_reason = 'no_success_for_too_long'", "disabled_by_failures"),
    ],
)
def test_an_endpoint_is_counted_by_how_it_is(tx: Connection, change: str, state: str) -> None:
    made.endpoint(tx, made.api_key(tx))
    tx.execute(text(f"UPDATE webhook_endpoints SET {change}"))  # noqa: S608 - our own literals
    assert db.metrics.snapshot(tx).endpoints == dict.fromkeys(ENDPOINT_STATES, 0) | {state: 1}


def test_an_endpoint_that_was_deleted_is_not_counted(tx: Connection) -> None:
    made.endpoint(tx, made.api_key(tx))
    gone = "UPDATE webhook_endpoints SET deleted_at = now(), enabled = false, disabled_reason = 'deleted'"
    tx.execute(text(gone))
    assert sum(db.metrics.snapshot(tx).endpoints.values()) == 0


def test_the_oldest_posting_outside_the_chain_is_as_old_as_it_is_posted_until_it_is_sealed(fresh: Settings) -> None:
    with databases.connected(fresh.database_url) as tx:
        assert db.metrics.snapshot(tx).unsealed_seconds == 0
        before = datetime.now(UTC)
        for _ in range(2):
            made.transfer_between_two(tx)
            tx.commit()
        tx.execute(text("SET LOCAL session_replication_role = replica"))
        tx.execute(text("UPDATE transactions SET posted_at = :at"), {"at": before - timedelta(seconds=90)})
        assert db.metrics.snapshot(tx).unsealed_seconds == pytest.approx(90, abs=30)
        tx.commit()
        assert db.chain.extend(tx) > 0
        assert db.metrics.snapshot(tx).unsealed_seconds == 0


def test_a_currency_that_nobody_uses_has_no_book(api_tx: Connection) -> None:
    assert db.metrics.books(api_tx) == []


def test_the_books_of_a_currency_balance_before_a_fold_and_after_it(tx: Connection) -> None:
    made.transfer_between_two(tx)
    made.withdrawal(tx, paid(tx, 8_00), 3_00)
    made.deposit(tx, made.wallet(tx, currency="USD"), 1, "USD")
    before = db.metrics.books(tx)
    fold(tx)

    rwf = Book(currency="RWF", trial_balance=0, customer_funds=10_00, unfolded_entries=3)
    usd = Book(currency="USD", trial_balance=0, customer_funds=1, unfolded_entries=1)
    assert before == [rwf, usd]
    assert [(one.trial_balance, one.unfolded_entries) for one in db.metrics.books(tx)] == [(0, 0), (0, 0)]


def test_a_rejected_movement_leaves_the_books_as_they_were(tx: Connection) -> None:
    movement = Movement(amount=1, currency="RWF", source_wallet_id=made.wallet(tx))
    made.settled(tx, Kind.WITHDRAWAL_CREATE, movement)
    assert [(one.trial_balance, one.customer_funds) for one in db.metrics.books(tx)] == [(0, 0)]


BREAK: dict[str, str] = {
    "a wallet was given money": "UPDATE wallets SET balance = balance + 5_00 WHERE customer_id IS NOT NULL",
    "an entry was taken out": "DELETE FROM entries WHERE xact_id IS NOT NULL",
    "an entry was changed": "UPDATE entries SET amount = amount * 2 WHERE xact_id IS NOT NULL",
    "a system wallet was changed": "UPDATE wallets SET balance = 5_00 WHERE type = 'cash_out' AND currency = 'RWF'",
}


@pytest.mark.parametrize("harm", list(BREAK))
def test_books_that_somebody_has_been_at_do_not_balance(tx: Connection, harm: str) -> None:
    paid(tx, 5_00)
    tx.execute(text("SET LOCAL session_replication_role = replica"))
    tx.execute(text(BREAK[harm]))
    assert [abs(one.trial_balance) for one in db.metrics.books(tx)] == [5_00]


def test_money_that_is_more_than_a_bigint_holds_is_added_up_all_the_same(tx: Connection) -> None:
    made.wallet(tx)
    made.wallet(tx)
    tx.execute(text("UPDATE wallets SET balance_max = 9e18, balance = 9e18 WHERE customer_id IS NOT NULL"))
    assert [one.customer_funds for one in db.metrics.books(tx)] == [18 * 10**18]


def waiting(tx: Connection, kind: Kind) -> Backlog:
    [found] = [one for one in db.metrics.snapshot(tx).backlogs if one.kind == kind]
    return found


def paid(tx: Connection, amount: int) -> UUID:
    wallet_id = made.wallet(tx)
    made.deposit(tx, wallet_id, amount)
    return wallet_id


def fold(tx: Connection) -> None:
    """Fold as after the end of this transaction, whose own entries a fold does not see."""
    tx.execute(text("SET LOCAL session_replication_role = replica"))
    tx.execute(text("UPDATE entries SET xact_id = 1 WHERE xact_id IS NOT NULL"))
    db.transactions.fold_system_wallets(tx)
