"""Postings and what is read of them: transactions, pages, statements, and the folding of system wallets."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.transactions
from db.transactions import Filter
from domain.jobs import Kind
from domain.transactions import Movement, TransactionKind
from domain.wallets import SystemWallet, system_id
from settings import Settings
from tests import made
from tests.databases import connected

CASH_IN = system_id(SystemWallet.CASH_IN, "RWF")
CASH_OUT = system_id(SystemWallet.CASH_OUT, "RWF")


def test_a_posted_movement_is_read_back_as_it_was_said(tx: Connection) -> None:
    wallet, other = made.wallet(tx), made.wallet(tx)
    made.deposit(tx, wallet, 5_00)
    movement = Movement(
        amount=2_00,
        currency="RWF",
        source_wallet_id=wallet,
        destination_wallet_id=other,
        description="rent",
        metadata={"k": "v"},
    )
    job_id = made.settled(tx, Kind.TRANSFER_CREATE, movement).job_id
    transaction = db.transactions.find(tx, job_id)
    assert transaction is not None
    assert (transaction.job_id, transaction.kind) == (job_id, TransactionKind.TRANSFER)
    said = ("amount", "currency", "source_wallet_id", "destination_wallet_id", "description", "metadata")
    assert [getattr(transaction, name) for name in said] == [getattr(movement, name) for name in said]


def test_a_deposit_keeps_its_reference_and_has_no_metadata(tx: Connection) -> None:
    movement = Movement(
        amount=1, currency="RWF", destination_wallet_id=made.wallet(tx), external_reference="bank 17", metadata={}
    )
    transaction = db.transactions.find(tx, made.settled(tx, Kind.DEPOSIT_CREATE, movement).job_id)
    assert transaction is not None
    assert (transaction.external_reference, transaction.metadata) == ("bank 17", {})


def test_what_was_never_posted_is_not_found(tx: Connection) -> None:
    assert db.transactions.find(tx, uuid7()) is None


@pytest.fixture
def posted(tx: Connection) -> dict[str, UUID]:
    """Two wallets with a history: in 1, in 2, over 3, out 4."""
    first, second = made.wallet(tx), made.wallet(tx)
    history = {
        "in 1": made.deposit(tx, first, 5_00),
        "in 2": made.deposit(tx, second, 5_00),
        "over 3": made.transfer(tx, first, second, 2_00),
        "out 4": made.withdrawal(tx, second, 1_00),
    }
    return history | {"first": first, "second": second}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["out 4", "over 3", "in 2", "in 1"]),
        ({"wallet_ids": ["first"]}, ["over 3", "in 1"]),
        ({"wallet_ids": ["second"]}, ["out 4", "over 3", "in 2"]),
        ({"wallet_ids": ["first", "second"]}, ["out 4", "over 3", "in 2", "in 1"]),
        ({"wallet_ids": []}, []),
        ({"kind": TransactionKind.DEPOSIT}, ["in 2", "in 1"]),
        ({"wallet_ids": ["first"], "kind": TransactionKind.WITHDRAWAL}, []),
        ({"wallet_ids": ["first", "second"], "kind": TransactionKind.TRANSFER}, ["over 3"]),
    ],
)
def test_a_page_has_what_was_asked_for_newest_first_and_once(
    tx: Connection, posted: dict[str, UUID], wanted: dict[str, Any], expected: Sequence[str]
) -> None:
    if "wallet_ids" in wanted:
        wanted = wanted | {"wallet_ids": [posted[name] for name in wanted["wallet_ids"]]}
    assert page_ids(tx, Filter(**wanted), None, 10) == [posted[name] for name in expected]


@pytest.mark.parametrize("wallets", [None, ["first", "second"]])
def test_pages_go_on_where_the_last_one_ended(
    tx: Connection, posted: dict[str, UUID], wallets: list[str] | None
) -> None:
    wanted = Filter(wallet_ids=None if wallets is None else [posted[name] for name in wallets])
    first = page_ids(tx, wanted, None, 3)
    made.deposit(tx, posted["first"], 9_00)
    assert first == [posted["out 4"], posted["over 3"], posted["in 2"]]
    assert page_ids(tx, wanted, first[-1], 3) == [posted["in 1"]]


def test_a_page_of_a_time_includes_its_beginning_and_not_its_end(tx: Connection, posted: dict[str, UUID]) -> None:
    transaction = db.transactions.find(tx, posted["in 2"])
    assert transaction is not None
    at = transaction.posted_at
    just = Filter(posted_from=at, posted_to=at + timedelta(microseconds=1))
    assert page_ids(tx, just, None, 10) == [posted["in 2"]]
    assert posted["in 2"] not in page_ids(tx, Filter(posted_to=at), None, 10)


def test_a_statement_is_the_wallets_entries_newest_first_with_the_balance_after_each(
    tx: Connection, posted: dict[str, UUID]
) -> None:
    lines = db.transactions.statement(tx, posted["second"], None, 10)
    assert [(line.entry.amount, line.entry.balance_after) for line in lines] == [
        (-1_00, 6_00),
        (2_00, 7_00),
        (5_00, 5_00),
    ]
    assert [line.entry.transaction_id for line in lines] == [posted[name] for name in ("out 4", "over 3", "in 2")]


def test_a_statement_names_the_other_customers_wallet_and_never_the_systems(
    tx: Connection, posted: dict[str, UUID]
) -> None:
    number = tx.scalar(text("SELECT number FROM wallets WHERE id = :id"), {"id": posted["first"]})
    lines = db.transactions.statement(tx, posted["second"], None, 10)
    assert [line.entry.counterparty_number for line in lines] == [None, number, None]


def test_a_statement_goes_on_below_the_last_line(tx: Connection, posted: dict[str, UUID]) -> None:
    [newest] = db.transactions.statement(tx, posted["second"], None, 1)
    rest = db.transactions.statement(tx, posted["second"], newest.sequence, 10)
    assert [line.sequence for line in [newest, *rest]] == [3, 2, 1]


def test_a_fold_adds_what_was_posted_since_the_last_one(fresh: Settings) -> None:
    with connected(fresh.database_url) as tx:
        wallet = made.wallet(tx)
        made.deposit(tx, wallet, 5_00)
        made.withdrawal(tx, wallet, 2_00)
        tx.commit()
        assert fold(tx) == (2, -5_00, 2_00)
        assert fold(tx) == (0, -5_00, 2_00)
        made.deposit(tx, wallet, 1_00)
        tx.commit()
        assert fold(tx) == (1, -6_00, 2_00)


def test_a_fold_leaves_its_own_transactions_entries_to_the_next(fresh: Settings) -> None:
    with connected(fresh.database_url) as tx:
        made.deposit(tx, made.wallet(tx), 5_00)
        assert fold(tx) == (0, 0, 0)
        assert fold(tx) == (1, -5_00, 0)


def test_what_commits_late_is_folded_later_and_not_forgotten(fresh: Settings) -> None:
    with (
        connected(fresh.database_url) as early,
        connected(fresh.database_url) as late,
        connected(fresh.database_url) as tx,
    ):
        made.deposit(late, made.wallet(late), 7_00)  # Written first, committed last.
        made.deposit(early, made.wallet(early), 5_00)
        early.commit()
        assert fold(tx)[1] == 0  # The late one began first: nothing from then on is folded yet.
        late.commit()
        assert fold(tx) == (1, -12_00, 0)


def test_what_is_rolled_back_is_never_folded(fresh: Settings) -> None:
    with connected(fresh.database_url) as doomed, connected(fresh.database_url) as tx:
        made.deposit(doomed, made.wallet(doomed), 7_00)
        doomed.rollback()
        made.deposit(tx, made.wallet(tx), 5_00)
        tx.commit()
        assert fold(tx) == (1, -5_00, 0)


def test_folding_needs_no_more_than_the_workers_role(worker_tx: Connection) -> None:
    assert db.transactions.fold_system_wallets(worker_tx) == 0


def fold(tx: Connection) -> tuple[int, object, object]:
    """Fold and commit; return how many wallets changed, and what cash-in and cash-out hold."""
    changed = db.transactions.fold_system_wallets(tx)
    tx.commit()
    balances = {row.id: row.balance for row in tx.execute(text("SELECT id, balance FROM wallets"))}
    tx.rollback()
    return changed, balances[CASH_IN], balances[CASH_OUT]


def page_ids(tx: Connection, wanted: Filter, before: UUID | None, limit: int) -> list[UUID]:
    return [transaction.id for transaction in db.transactions.page(tx, wanted, before, limit)]
