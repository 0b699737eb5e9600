from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.wallets
from domain.wallets import NewWallet, SystemWallet, WalletState, number, system_id
from settings import Settings
from tests import made
from tests.databases import connected, refused_by, wait_until_blocked

CASH_IN = system_id(SystemWallet.CASH_IN, "RWF")


def test_a_number_that_was_brought_from_elsewhere_is_passed_over(tx: Connection) -> None:
    [drawn] = db.wallets.next_sequences(tx, 1)
    brought = number(drawn + 2)
    wallet_id = made.wallet(tx)
    tx.execute(text("UPDATE wallets SET number = :number WHERE id = :id"), {"number": brought, "id": wallet_id})
    found = db.wallets.new_numbers(tx, 3)
    assert len(set(found)) == 3
    assert brought not in found


def test_a_new_wallet_is_open_and_empty(tx: Connection) -> None:
    wallet = db.wallets.find(tx, made.wallet(tx))
    assert wallet is not None
    assert (wallet.state, wallet.currency, wallet.type) == (WalletState.OPEN, "RWF", "personal")
    assert (wallet.balance, wallet.held, wallet.available) == (0, 0, 0)


def test_what_is_held_and_what_must_stay_is_not_available(tx: Connection) -> None:
    wallet_id = made.wallet(tx)
    made.deposit(tx, wallet_id, 9_00)
    tx.execute(text("UPDATE wallets SET held = 2_00, balance_min = 1_00 WHERE id = :id"), {"id": wallet_id})
    wallet = db.wallets.find(tx, wallet_id)
    assert wallet is not None
    assert (wallet.balance, wallet.held, wallet.available) == (9_00, 2_00, 6_00)


def test_numbers_never_repeat_also_when_their_transaction_fails(fresh: Settings) -> None:
    with connected(fresh.database_worker_url) as tx:
        lost = db.wallets.next_sequences(tx, 3)
        tx.rollback()
        kept = db.wallets.next_sequences(tx, 2)
    assert lost + kept == [1, 2, 3, 4, 5]


def test_no_numbers_and_no_wallets_need_no_statement(tx: Connection) -> None:
    assert db.wallets.next_sequences(tx, 0) == []
    assert db.wallets.ids_by_number(tx, []) == {}
    db.wallets.insert(tx, [], 1)


def test_known_numbers_are_looked_up_and_unknown_ones_left_out(tx: Connection) -> None:
    wallet = db.wallets.find(tx, made.wallet(tx))
    assert wallet is not None
    assert db.wallets.ids_by_number(tx, [wallet.number, number(10**9)]) == {wallet.number: wallet.id}


def test_locking_returns_what_the_ledger_needs_of_customers_wallets_only(tx: Connection) -> None:
    wallet_id = made.wallet(tx, balance_max=10_00)
    made.deposit(tx, wallet_id, 9_00)
    locked = db.wallets.lock(tx, [wallet_id, CASH_IN, uuid7()]).wallets
    expected = made.locked(wallet_id, balance=9_00, balance_max=10_00, sequence=1, seal=locked[wallet_id].seal)
    assert locked == {wallet_id: expected}
    assert len(expected.seal) == 16
    assert tx.scalar(text("SHOW lock_timeout")) == db.wallets.LOCK_WAIT


def test_an_update_writes_what_the_ledger_decided_and_nothing_else(tx: Connection) -> None:
    wallet_id, other = made.wallet(tx), made.wallet(tx)
    before = db.wallets.lock(tx, [wallet_id, other]).wallets
    changed = replace(before[wallet_id], balance=5_00, sequence=1, seal=b"s", state=WalletState.CLOSED, held=1)
    db.wallets.update(tx, [changed])
    after = db.wallets.lock(tx, [wallet_id, other]).wallets
    assert after == {wallet_id: replace(changed, state=WalletState.OPEN, held=0), other: before[other]}


def test_the_database_itself_refuses_a_balance_out_of_bounds(tx: Connection) -> None:
    wallet_id = made.wallet(tx)
    before = db.wallets.lock(tx, [wallet_id]).wallets[wallet_id]
    with refused_by("wallets_balance_within_bounds"):
        db.wallets.update(tx, [replace(before, balance=-1)])


def test_the_owner_of_a_wallet_is_known_and_nobody_owns_the_systems(tx: Connection) -> None:
    customer = made.customer(tx)
    wallet = made.wallet(tx, customer)
    assert db.wallets.owners(tx, [wallet, CASH_IN, uuid7()]) == {wallet: customer}
    assert db.wallets.ids_of(tx, customer) == [wallet]


def test_a_system_wallet_is_never_shown(tx: Connection) -> None:
    wallet_id = made.wallet(tx)
    assert db.wallets.find(tx, CASH_IN) is None
    assert page_ids(tx, None, None) == [wallet_id]


def test_a_page_is_newest_first_and_goes_on_where_the_last_one_ended(tx: Connection) -> None:
    customer = made.customer(tx)
    ids = [made.wallet(tx, customer) for _ in range(3)]
    stranger = made.wallet(tx)
    assert page_ids(tx, None, None) == [stranger, ids[2]]
    assert page_ids(tx, customer, None) == [ids[2], ids[1]]
    assert page_ids(tx, customer, ids[1]) == [ids[0]]


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield pool


def test_wallets_are_locked_in_the_order_of_their_ids_wherever_their_rows_lie(
    fresh: Settings, thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.wallets, "LOCK_WAIT", "30s")  # The waiter must still wait when the holder lets go.
    low, high = UUID(int=1), UUID(int=2)
    with connected(fresh.database_url) as tx:
        opened = [new(wallet_id, made.customer(tx)) for wallet_id in (high, low)]
        db.wallets.insert(tx, opened, 1)  # The higher one's row comes first.
        tx.commit()
    url = fresh.database_worker_url
    with connected(url) as holder, connected(url) as waiter, connected(url) as other:
        db.wallets.lock(holder, [low])
        waiter.execute(text("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off"))
        waiting = thread.submit(db.wallets.lock, waiter, [low, high])
        wait_until_blocked(other, waiting)
        assert set(db.wallets.lock(other, [high]).wallets) == {high}  # It holds nothing yet that comes later.
        holder.rollback()
        other.rollback()
        assert set(waiting.result(60).wallets) == {low, high}


def test_who_opens_a_wallet_waits_for_whoever_opens_one_for_the_same_customer(
    fresh: Settings, thread: ThreadPoolExecutor
) -> None:
    with connected(fresh.database_url) as tx:
        customer = made.customer(tx)
        tx.commit()
    url = fresh.database_url
    with connected(url) as first, connected(url) as second, connected(url) as watcher:
        made.wallet(first, customer)
        waiting = thread.submit(made.wallet, second, customer)
        wait_until_blocked(watcher, waiting)
        first.commit()
        waiting.result(60)
        assert second.execute(text("SELECT customer_id FROM customer_velocity")).all() == [(customer,)]


def test_a_lock_that_does_not_come_is_done_without(fresh: Settings) -> None:
    free, taken = UUID(int=1), UUID(int=2)
    with connected(fresh.database_url) as tx:
        db.wallets.insert(tx, [new(wallet_id, made.customer(tx)) for wallet_id in (free, taken)], 1)
        tx.commit()
    with connected(fresh.database_worker_url) as holder, connected(fresh.database_worker_url) as other:
        db.wallets.lock(holder, [taken])
        locked = db.wallets.lock(other, [free, taken, UUID(int=3)])
        assert set(locked.wallets) == {free}
        assert locked.contended == {taken}
        assert other.scalar(text("SHOW lock_timeout")) == db.wallets.LOCK_WAIT


def new(wallet_id: UUID, customer_id: UUID) -> NewWallet:
    digits = number(wallet_id.int)
    return NewWallet(id=wallet_id, customer_id=customer_id, number=digits, currency="RWF", type="personal")


def page_ids(tx: Connection, customer_id: UUID | None, before: UUID | None) -> list[UUID]:
    return [wallet.id for wallet in db.wallets.page(tx, customer_id, before, 2)]
