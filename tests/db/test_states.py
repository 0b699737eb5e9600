"""States of wallets and customers: what locks keep, and what the database itself refuses."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.customers
import db.sessions
import db.states
import db.wallets
from db.sessions import Session
from domain.customers import CustomerState
from domain.states import StatedWallet
from domain.wallets import WalletState
from tests import databases, made
from tests.databases import connected, refused_by


def test_states_are_written_as_they_are_read(worker_tx: Connection) -> None:
    first, second = made.customer(worker_tx), made.customer(worker_tx)
    wallet = made.wallet(worker_tx, first)
    assert db.states.lock_customers(worker_tx, {first, second, uuid7()}) == dict.fromkeys((first, second), "open")
    frozen = StatedWallet(id=wallet, customer_id=first, state=WalletState.FROZEN, frozen_alone=True, balance=0, held=0)
    db.states.update_wallets(worker_tx, [frozen])
    db.states.update_customers(worker_tx, {second: CustomerState.CLOSED})
    assert db.states.wallets(worker_tx, {wallet, uuid7()}) == {wallet: frozen}
    assert db.states.lock_customers(worker_tx, {first, second}) == {first: "open", second: "closed"}
    assert db.states.wallet_ids(worker_tx, {first, second}) == {wallet: first}


def test_a_systems_wallet_has_no_state_to_change(worker_tx: Connection) -> None:
    ids = set(worker_tx.scalars(text("SELECT id FROM wallets WHERE customer_id IS NULL")))
    assert ids
    assert db.states.wallets(worker_tx, ids) == {}


@pytest.mark.parametrize("state", ["open", "frozen"])
def test_what_is_closed_stays_closed(tx: Connection, state: str) -> None:
    customer = made.customer(tx)
    ids = {"wallets": made.wallet(tx, customer), "customers": customer}
    for table, one in ids.items():
        tx.execute(text(f"UPDATE {table} SET state = 'closed' WHERE id = :id"), {"id": one})  # noqa: S608 - our own names
        tx.execute(text(f"UPDATE {table} SET state = state WHERE id = :id"), {"id": one})  # noqa: S608 - as above
        with refused_by(f"{table}_closed_is_final"), tx.begin_nested():
            tx.execute(
                text(f"UPDATE {table} SET state = :state WHERE id = :id"),  # noqa: S608 - as above
                {"id": one, "state": state},
            )


def test_a_change_of_a_customer_ends_their_sessions_and_no_others(tx: Connection) -> None:
    customers = [made.customer(tx), made.customer(tx)]
    sessions = [Session(id=uuid7(), customer_id=customer) for customer in customers]
    for one in sessions:
        db.sessions.start(tx, one, one.id.bytes, datetime.now(UTC) + timedelta(days=1))
    db.states.update_customers(tx, {customers[0]: CustomerState.OPEN})
    assert db.sessions.alive(tx, [one.id for one in sessions]) == {sessions[1].id: customers[1]}


def test_who_opens_a_wallet_waits_for_who_changes_its_customer_and_sees_what_became_of_it(
    environment: Mapping[str, str], owner: Connection
) -> None:
    customer = made.customer(owner)
    owner.commit()
    url = environment["DATABASE_WORKER_URL"]

    def look() -> dict[UUID, CustomerState]:
        with connected(url) as beside:
            return db.states.lock_customers(beside, {customer})

    with connected(url) as changing, ThreadPoolExecutor(1) as threads:
        db.states.lock_customers(changing, {customer})
        db.states.update_customers(changing, {customer: CustomerState.FROZEN})
        waiting = threads.submit(look)
        databases.wait_until_blocked(owner, waiting)
        changing.commit()
        assert waiting.result() == {customer: "frozen"}


def test_who_is_held_for_long_is_left_out_and_named(worker_tx: Connection, owner: Connection) -> None:
    held, free = made.customer(owner), made.customer(owner)
    owner.commit()
    db.states.lock_customers(owner, {held})
    found = db.states.lock_free_customers(worker_tx, {held, free, uuid7()})
    owner.rollback()
    assert (found.states, found.contended) == ({free: "open"}, {held})


@pytest.mark.parametrize("state", ["frozen", "closed"])
def test_who_is_not_open_gets_no_wallet_from_whoever_does_not_ask(tx: Connection, state: str) -> None:
    customer = made.customer(tx)
    tx.execute(text("UPDATE customers SET state = :state WHERE id = :id"), {"state": state, "id": customer})
    with refused_by("wallets_customer_is_open"):
        made.wallet(tx, customer)
