"""What tests put before the code: values of the domain, and rows that the project's own functions wrote."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection
from uuid_utils.compat import uuid7

import db.customers
import db.jobs
import db.transactions
import db.wallets
import domain.ledger
import domain.wallets
from domain.customers import Registration
from domain.jobs import QUEUE_OF, Claimed, Kind, Outcome, Queue, Submission
from domain.transactions import Movement
from domain.wallets import LockedWallet, NewWallet, WalletState

SEAL_KEY = b"a key that seals the tests' books"
POSTED_AT = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
CALLER = "customer:of-a-test"
BALANCE_MAX = 10**15


def submission(
    kind: Kind = Kind.DEPOSIT_CREATE, payload: object = None, *, caller: str = CALLER, key: str = ""
) -> Submission:
    job_id = uuid7()
    return Submission(
        id=job_id,
        kind=kind,
        queue=QUEUE_OF[kind],
        caller=caller,
        idempotency_key=key or str(job_id),
        fingerprint=b"route and body",
        payload=msgspec.Raw(msgspec.json.encode({} if payload is None else payload)),
    )


def claimed(kind: Kind, payload: object) -> Claimed:
    return Claimed(id=uuid7(), kind=kind, payload=msgspec.json.encode(payload), caller=CALLER)


def registration(name: str = "ada", **changes: Any) -> Registration:
    """Return what a registration of `name` queues; two names share nothing that must be unique."""
    plain = Registration(
        full_name=name.title(),
        email=f"{name}@example.rw",
        national_id_sealed=f"sealed {name}",
        national_id_index=f"index {name}",
        phone_sealed=None,
        phone_index=None,
        gender=None,
        password_hash="hashed",
        wallet=None,
    )
    return msgspec.structs.replace(plain, **changes)


def locked(wallet_id: UUID | None = None, **changes: Any) -> LockedWallet:
    """Return an open and empty wallet in RWF, as the ledger sees it."""
    plain = LockedWallet(
        id=wallet_id or uuid7(),
        currency="RWF",
        state=WalletState.OPEN,
        balance=0,
        held=0,
        balance_min=0,
        balance_max=BALANCE_MAX,
        sequence=0,
        seal=domain.ledger.NO_SEAL,
    )
    return msgspec.structs.replace(plain, **changes)


def job(tx: Connection, kind: Kind = Kind.DEPOSIT_CREATE, payload: object = None, **naming: str) -> UUID:
    """Stage a job and return its id."""
    one = submission(kind, payload, **naming)
    db.jobs.stage(tx, [one])
    return one.id


def customer(tx: Connection) -> UUID:
    customer_id = uuid7()
    db.customers.insert(tx, {customer_id: registration(customer_id.hex)})
    return customer_id


def wallet(
    tx: Connection, customer_id: UUID | None = None, *, currency: str = "RWF", balance_max: int = BALANCE_MAX
) -> UUID:
    """Open a wallet, of a new customer unless one is given."""
    [sequence] = db.wallets.next_sequences(tx, 1)
    opened = NewWallet(
        id=uuid7(),
        customer_id=customer_id or customer(tx),
        number=domain.wallets.number(sequence),
        currency=currency,
        type="personal",
    )
    db.wallets.insert(tx, [opened], balance_max)
    return opened.id


def deposit(tx: Connection, wallet_id: UUID, amount: int, currency: str = "RWF") -> UUID:
    movement = Movement(amount=amount, currency=currency, destination_wallet_id=wallet_id)
    return settled(tx, Kind.DEPOSIT_CREATE, movement).job_id


def withdrawal(tx: Connection, wallet_id: UUID, amount: int) -> UUID:
    movement = Movement(amount=amount, currency="RWF", source_wallet_id=wallet_id)
    return settled(tx, Kind.WITHDRAWAL_CREATE, movement).job_id


def transfer(tx: Connection, source: UUID, destination: UUID, amount: int) -> UUID:
    movement = Movement(amount=amount, currency="RWF", source_wallet_id=source, destination_wallet_id=destination)
    return settled(tx, Kind.TRANSFER_CREATE, movement).job_id


def transfer_between_two(tx: Connection) -> UUID:
    """Pay 5.00 into a new wallet and 2.00 from it to another; return the transfer."""
    source, destination = wallet(tx), wallet(tx)
    deposit(tx, source, 5_00)
    return transfer(tx, source, destination, 2_00)


def settled(tx: Connection, kind: Kind, movement: Movement) -> Outcome:
    """Stage one movement and settle it as a worker does, sealed with `SEAL_KEY`."""
    one = submission(kind, movement)
    db.jobs.stage(tx, [one])
    batch = [Claimed(id=one.id, kind=kind, payload=bytes(one.payload), caller=one.caller)]
    movements = {one.id: movement}
    wallets = db.wallets.lock(tx, domain.transactions.wallet_ids(movements)).wallets
    settlement = domain.ledger.settle(batch, movements, wallets, posted_at=datetime.now(UTC), seal_key=SEAL_KEY)
    db.transactions.post(tx, settlement)
    db.wallets.update(tx, settlement.wallets)
    db.jobs.finish(tx, settlement.outcomes)
    return settlement.outcomes[0]


def queue_of(kind: Kind) -> Queue:
    return QUEUE_OF[kind]
