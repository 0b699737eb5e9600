"""What tests put before the code: values of the domain, and rows that the project's own functions wrote."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.customers
import db.deliveries
import db.jobs
import db.keys
import db.transactions
import db.wallets
import db.webhooks
import domain.bulk_transfers
import domain.lanes
import domain.ledger
import domain.wallets
from db.deliveries import ClaimedDelivery
from db.events import NOWHERE
from db.keys import NewKey
from db.webhooks import NewEndpoint
from domain.bulk_transfers import BulkTransfer, Mode
from domain.customers import Registration
from domain.errors import Rejection
from domain.jobs import (
    ATTEMPTS_EXHAUSTED,
    QUEUE_OF,
    Claimed,
    JobState,
    Kind,
    Outcome,
    Queue,
    Submission,
    rejected,
    succeeded,
)
from domain.lanes import Limits, Load
from domain.transactions import Movement
from domain.wallets import LockedWallet, NewWallet, WalletState

SEAL_KEY = b"a key that seals the tests' books"
POSTED_AT = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
CALLER = "customer:of-a-test"
ENDPOINT_URL = "https://hooks.example.rw/in"
CALLBACK_URL = "https://back.example.rw/jobs?id=1"
BALANCE_MAX = 10**15


def submission(
    kind: Kind = Kind.DEPOSIT_CREATE,
    payload: object = None,
    *,
    caller: str = CALLER,
    key: str = "",
    callback_url: str | None = None,
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
        callback_url=callback_url,
    )


def bulk_transfer(*items: Movement, mode: Mode = Mode.INDEPENDENT, key: str = "") -> Submission:
    plain = submission(Kind.BULK_TRANSFER_CREATE, BulkTransfer(mode=mode, items=list(items)), key=key)
    return msgspec.structs.replace(plain, items=len(items))


def claimed(kind: Kind, payload: object) -> Claimed:
    return Claimed(id=uuid7(), kind=kind, payload=msgspec.json.encode(payload), caller=CALLER, attempts=0)


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


def ended(tx: Connection, kind: Kind = Kind.WALLET_OPEN, state: JobState = JobState.SUCCEEDED, **naming: str) -> UUID:
    """Stage a job that does nothing and ends at once, as its worker or its caller ends it; return its id."""
    job_id = job(tx, kind, **naming)
    if state is JobState.CANCELED:
        db.jobs.cancel(tx, job_id)
    else:
        db.jobs.finish(tx, [outcome(job_id, state)])
    return job_id


def outcome(job_id: UUID, state: JobState) -> Outcome:
    if state is JobState.SUCCEEDED:
        return succeeded(job_id, customer_id=job_id)
    if state is JobState.REJECTED:
        return rejected(job_id, Rejection.CUSTOMER_NOT_FOUND)
    return Outcome(job_id=job_id, state=state, error=ATTEMPTS_EXHAUSTED)


def api_key(tx: Connection, *scopes: str, expires_at: datetime | None = None) -> UUID:
    key_id = uuid7()
    db.keys.insert(tx, NewKey(id=key_id, name="k", digest=key_id.bytes, scopes=scopes, expires_at=expires_at))
    return key_id


def endpoint(tx: Connection, key_id: UUID, *event_types: str, url: str = ENDPOINT_URL, enabled: bool = True) -> UUID:
    """Add an endpoint that hears of everything, unless types are given; its secret is sealed as its own id."""
    new = NewEndpoint(
        id=uuid7(),
        key_id=key_id,
        url=url,
        event_types=list(event_types or ["*"]),
        description=None,
        enabled=enabled,
        disabled_reason=None if enabled else db.webhooks.BY_OWNER,
    )
    assert db.webhooks.insert(tx, new, f"sealed {new.id}", 100) is not None
    return new.id


def event(tx: Connection, caller: str = CALLER) -> UUID:
    """End a job; return its event."""
    statement = text("SELECT id FROM events WHERE job_id = :job")
    event_id: UUID = tx.execute(statement, {"job": ended(tx, caller=caller)}).scalar_one()
    return event_id


def delivery(tx: Connection, endpoint_id: UUID, event_id: UUID | None = None) -> UUID:
    """Make a delivery that is due now, of a new event unless one is given; return its id."""
    return db.deliveries.insert(tx, uuid7(), event_id or event(tx), endpoint_id).id


def claim(
    tx: Connection, loads: Sequence[Load] = (), *, lease_seconds: float = 25.0, **limits: int
) -> list[ClaimedDelivery]:
    """Claim as a courier does, with room for all unless limits are given."""
    wide = Limits(lane=100, failing_lane=100, failing=100, key=100, total=100)
    walk = db.deliveries.waiting(tx, NOWHERE, 100, 100)
    shares = domain.lanes.share(walk.lanes, loads, msgspec.structs.replace(wide, **limits))
    return db.deliveries.claim(tx, shares, lease_seconds)


def called_back(tx: Connection, key_id: UUID, url: str = CALLBACK_URL) -> UUID:
    """Make a delivery to a callback that is due now; return its id."""
    statement = text("""
        INSERT INTO webhook_deliveries (id, event_id, event_type, key_id, callback_url)
        VALUES (:id, :event, 'wallet.opened', :key, :url)
    """)
    delivery_id = uuid7()
    tx.execute(statement, {"id": delivery_id, "event": event(tx, f"key:{key_id}"), "key": key_id, "url": url})
    return delivery_id


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
    return settled_alone(tx, submission(kind, movement))


def settled_alone(tx: Connection, one: Submission) -> Outcome:
    """Stage a job of money and settle it as a worker does, sealed with `SEAL_KEY`."""
    db.jobs.stage(tx, [one])
    batch = [Claimed(id=one.id, kind=one.kind, payload=bytes(one.payload), caller=one.caller, attempts=0)]
    bulks = domain.bulk_transfers.bulks(batch)
    movements = domain.transactions.movements(batch) | domain.bulk_transfers.movements(bulks)
    wallets = db.wallets.lock(tx, domain.transactions.wallet_ids(movements)).wallets
    settlement = domain.ledger.settle(
        batch, movements, wallets, posted_at=datetime.now(UTC), seal_key=SEAL_KEY, bulks=bulks
    )
    db.transactions.post(tx, settlement)
    db.wallets.update(tx, settlement.wallets)
    db.jobs.finish(tx, settlement.outcomes)
    return settlement.outcomes[0]


def queue_of(kind: Kind) -> Queue:
    return QUEUE_OF[kind]
