from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

import db.audit
import db.jobs
import db.wallets
from db.engine import engine, transaction
from domain.bulk_transfers import Mode
from domain.jobs import Job, Kind, Queue, Submission
from domain.transactions import Movement
from domain.wallets import SystemWallet, number, system_id
from settings import Settings
from tests import committed
from tests.made import bulk_transfer, submission
from workers import batches, transactions

NOWHERE = UUID(int=0)


@pytest.fixture
def wallets(url: str) -> list[UUID]:
    """Two wallets with 10.00 and nothing."""
    return committed.opened(url, 10_00, 0)


def moving(kind: Kind, amount: int, **sides: Any) -> Submission:
    return submission(kind, Movement(amount=amount, currency="RWF", **sides))


def transferring(amount: int, source: UUID, destination: UUID) -> Submission:
    return moving(Kind.TRANSFER_CREATE, amount, source_wallet_id=source, destination_wallet_id=destination)


def settled(url: str, *submissions: Submission) -> list[Job]:
    ids = committed.queued(url, *submissions)
    batches.drain(Queue.TRANSACTIONS)
    return committed.jobs(url, ids)


def codes(jobs: list[Job]) -> list[str]:
    return [job.error.code if job.error else "" for job in jobs]


def test_a_transfer_moves_money_and_names_its_transaction(url: str, wallets: list[UUID]) -> None:
    [job] = settled(url, transferring(4_00, *wallets))
    assert job.result == {"transaction_id": str(job.id)}
    assert committed.balances(url, wallets) == [6_00, 4_00]


def test_a_withdrawal_takes_money_out(url: str, wallets: list[UUID]) -> None:
    assert codes(settled(url, moving(Kind.WITHDRAWAL_CREATE, 4_00, source_wallet_id=wallets[0]))) == [""]
    assert committed.balances(url, wallets) == [6_00, 0]


def test_a_destination_may_be_named_by_its_number(url: str, wallets: list[UUID]) -> None:
    with transaction(url) as tx:
        found = db.wallets.find(tx, wallets[1])
    assert found is not None
    named = {"source_wallet_id": wallets[0], "destination_number": found.number}
    assert codes(settled(url, moving(Kind.TRANSFER_CREATE, 4_00, **named))) == [""]
    assert committed.balances(url, wallets) == [6_00, 4_00]


@pytest.mark.parametrize(
    "destination",
    [
        {"destination_wallet_id": NOWHERE},
        {"destination_number": number(10**9)},
        {"destination_wallet_id": system_id(SystemWallet.FEES, "RWF")},
    ],
)
def test_a_destination_that_is_no_customers_wallet_is_not_found(
    url: str, wallets: list[UUID], destination: dict[str, Any]
) -> None:
    wanted = moving(Kind.TRANSFER_CREATE, 4_00, source_wallet_id=wallets[0], **destination)
    assert codes(settled(url, wanted)) == ["destination_not_found"]
    assert committed.balances(url, wallets) == [10_00, 0]


def test_nobody_spends_from_a_system_wallet(url: str, wallets: list[UUID]) -> None:
    source = system_id(SystemWallet.CASH_IN, "RWF")
    assert codes(settled(url, transferring(1, source, wallets[1]))) == ["source_not_found"]


def test_ten_of_twenty_transfers_succeed_when_there_is_money_for_ten(url: str, wallets: list[UUID]) -> None:
    jobs = settled(url, *(transferring(1_00, *wallets) for _ in range(20)))
    assert codes(jobs) == [""] * 10 + ["insufficient_funds"] * 10
    assert committed.balances(url, wallets) == [0, 10_00]


def test_a_wallet_that_somebody_holds_does_not_hold_up_the_others(url: str, wallets: list[UUID]) -> None:
    held = committed.opened(url, 10_00)[0]
    with transaction(url) as holder:
        db.wallets.lock(holder, [held])
        ids = committed.queued(url, transferring(1_00, held, wallets[1]), transferring(2_00, wallets[0], wallets[1]))
        batches.drain(Queue.TRANSACTIONS)
        assert [job.state for job in committed.jobs(url, ids)] == ["queued", "succeeded"]
    committed.execute(url, "UPDATE jobs SET due_at = now() WHERE state = 'queued'")
    assert batches.drain(Queue.TRANSACTIONS)["succeeded"] == 1


def test_a_movement_is_settled_twice_without_harm(url: str, wallets: list[UUID]) -> None:
    jobs = settled(url, transferring(4_00, *wallets))
    assert batches.drain(Queue.TRANSACTIONS) == {"succeeded": 0, "rejected": 0}
    assert committed.jobs(url, [job.id for job in jobs]) == jobs
    assert committed.balances(url, wallets) == [6_00, 4_00]


def test_what_was_said_with_a_movement_is_sealed_and_verifies(fresh: Settings, url: str, wallets: list[UUID]) -> None:
    words = {"description": 'Ünïcode \\ "quoted" 💸', "metadata": {"b": "2", "a": "é\n"}}
    settled(
        url, moving(Kind.TRANSFER_CREATE, 1, source_wallet_id=wallets[0], destination_wallet_id=wallets[1], **words)
    )
    found = {name: rows for name, rows in db.audit.verify(url, fresh.seal_key.encode()) if rows}
    assert found == {}


def test_bulks_and_transfers_are_settled_in_the_order_in_which_they_came(
    fresh: Settings, url: str, wallets: list[UUID]
) -> None:
    there = Movement(amount=10_00, currency="RWF", source_wallet_id=wallets[0], destination_wallet_id=wallets[1])
    back = Movement(amount=10_00, currency="RWF", source_wallet_id=wallets[1], destination_wallet_id=wallets[0])
    jobs = settled(
        url,
        transferring(10_00, wallets[1], wallets[0]),
        bulk_transfer(there, there, back, mode=Mode.ALL_OR_NOTHING),
        bulk_transfer(there, there, back),
        transferring(10_00, *wallets),
        bulk_transfer(back, mode=Mode.ALL_OR_NOTHING),
    )
    assert codes(jobs) == ["insufficient_funds", "insufficient_funds", "", "", ""]
    assert committed.balances(url, wallets) == [10_00, 0]
    assert [found for _, found in db.audit.verify(url, fresh.seal_key.encode()) if found] == []


def test_a_bulk_waits_for_a_wallet_that_somebody_holds(url: str, wallets: list[UUID]) -> None:
    held = committed.opened(url, 10_00)[0]
    items = [
        Movement(amount=1_00, currency="RWF", source_wallet_id=source, destination_wallet_id=wallets[1])
        for source in (wallets[0], held)
    ]
    with transaction(url) as holder:
        db.wallets.lock(holder, [held])
        ids = committed.queued(url, bulk_transfer(*items), transferring(2_00, *wallets))
        batches.drain(Queue.TRANSACTIONS)
        assert committed.states(url, ids) == ["queued", "succeeded"]
        assert committed.balances(url, wallets) == [8_00, 2_00]


def test_a_bulk_that_is_settled_again_moves_nothing(url: str, wallets: list[UUID]) -> None:
    there = Movement(amount=1_00, currency="RWF", source_wallet_id=wallets[0], destination_wallet_id=wallets[1])
    ids = committed.queued(url, bulk_transfer(there, there))
    with engine(url).connect() as died:  # As a worker whose connection breaks.
        transactions.settle(died, db.jobs.claim(died, Queue.TRANSACTIONS, 10))
        died.rollback()
    assert batches.drain(Queue.TRANSACTIONS)["succeeded"] == 1
    committed.execute(
        url,
        "SET LOCAL session_replication_role = replica;"
        "UPDATE jobs SET state = 'queued', result = NULL, finished_at = NULL WHERE kind = 'bulk_transfer.create'",
    )
    with pytest.raises(DBAPIError):
        batches.drain(Queue.TRANSACTIONS)
    assert committed.states(url, ids) == ["queued"]
    assert committed.balances(url, wallets) == [8_00, 2_00]
