"""A story for examples: one fictional customer, who registers, is paid, and pays, while an integrator listens."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

import domain.bulk_transfers
from domain.actions import Action, OperatorAction
from domain.chain import Block
from domain.customers import Customer, CustomerState
from domain.deliveries import Attempt, Delivery, DeliveryState
from domain.errors import Rejection
from domain.events import DisabledEndpoint, EndpointTest, Event, EventType, WalletSequence
from domain.jobs import Job, JobError, JobState, Kind, Progress
from domain.transactions import StatementEntry, Transaction, TransactionKind
from domain.wallets import Wallet, WalletState
from domain.webhooks import WebhookEndpoint

REQUEST_ID = "019a87c2-4f10-7c3e-9b51-6d2f8a0c4e77"
CUSTOMER_ID = UUID("019a87c1-5b20-7a44-8f0e-3c9d5e1b7a62")
WALLET_ID = UUID("019a87c1-5b20-7d18-b6c3-92f4a7e0d531")
WALLET_NUMBER = "381966011308"
SECOND_WALLET_ID = UUID("019a87c2-0a3c-7e95-a1d7-48b6c2f9e013")
SECOND_WALLET_NUMBER = "763932022615"
RECEIVER_WALLET_ID = UUID("019a87b8-7e21-7f50-9c4d-15a6b3d8e942")
RECEIVER_NUMBER = "145898033972"
DEPOSIT_ID = UUID("019a87c2-2b4d-7f06-8c21-5e7a9d3b1f48")
WITHDRAWAL_ID = UUID("019a87c2-3c5e-7b17-9d32-6f8bae4c2059")
TRANSFER_ID = UUID("019a87c2-4d6f-7c28-ae43-709cbf5d316a")
BULK_ID = UUID("019a87c2-6e81-7d39-8b54-81adc06f427b")
CURSOR = "MDE5YTg3YzItNGQ2Zi03YzI4LWFlNDMtNzA5Y2JmNWQzMTZh"
EMAIL = "demo@example.com"
PASSWORD = "correct horse battery"  # noqa: S105 - an example
TOKEN = "eyJhbGciOiJIUzI1NiIs...the.access.token"  # noqa: S105 - an example
REFRESH_TOKEN = "hPq3vX0w...the-refresh-token"  # noqa: S105 - an example


def _at(minute: int, second: float = 0) -> datetime:
    return datetime(2026, 11, 22, 9, minute, int(second), round(second % 1 * 1_000_000), tzinfo=UTC)


def _job(job_id: UUID, kind: Kind, minute: int, **result: Any) -> Job:
    return Job(
        id=job_id,
        kind=kind,
        state=JobState.SUCCEEDED,
        created_at=_at(minute, 4.25),
        finished_at=_at(minute, 4.275),
        result=result,
    )


def queued(job: Job) -> Job:
    """Return the job as its POST answers when nobody waits."""
    progress = Progress(done=0, total=2) if job is BULK else msgspec.UNSET
    return msgspec.structs.replace(job, state=JobState.QUEUED, finished_at=None, result=None, progress=progress)


def brief(job: Job) -> Job:
    """Return a bulk as lists and events show it."""
    totals = {name: value for name, value in (job.result or {}).items() if name != "items"}
    return msgspec.structs.replace(job, result=totals)


REGISTRATION = _job(
    CUSTOMER_ID,
    Kind.CUSTOMER_REGISTER,
    10,
    customer_id=str(CUSTOMER_ID),
    wallet_id=str(WALLET_ID),
    wallet_number=WALLET_NUMBER,
)
OPENING = _job(SECOND_WALLET_ID, Kind.WALLET_OPEN, 11, wallet_id=str(SECOND_WALLET_ID), number=SECOND_WALLET_NUMBER)
DEPOSIT = _job(DEPOSIT_ID, Kind.DEPOSIT_CREATE, 12, transaction_id=str(DEPOSIT_ID))
WITHDRAWAL = _job(WITHDRAWAL_ID, Kind.WITHDRAWAL_CREATE, 16, transaction_id=str(WITHDRAWAL_ID))
TRANSFER = _job(TRANSFER_ID, Kind.TRANSFER_CREATE, 14, transaction_id=str(TRANSFER_ID))
BULK = msgspec.structs.replace(
    _job(
        BULK_ID,
        Kind.BULK_TRANSFER_CREATE,
        18,
        **domain.bulk_transfers.result(
            domain.bulk_transfers.transaction_ids(BULK_ID, 2), [None, Rejection.INSUFFICIENT_FUNDS]
        ),
    ),
    progress=Progress(done=2, total=2),
)
REASON = "Case 2026-118: the card was stolen"
_CHANGES = {  # By the type that tells of it: kind, the minute, what the wallet or customer is then.
    EventType.WALLET_FROZEN: (Kind.WALLET_FREEZE, 22, WalletState.FROZEN),
    EventType.WALLET_UNFROZEN: (Kind.WALLET_UNFREEZE, 23, WalletState.OPEN),
    EventType.WALLET_CLOSED: (Kind.WALLET_CLOSE, 24, WalletState.CLOSED),
    EventType.CUSTOMER_FROZEN: (Kind.CUSTOMER_FREEZE, 25, CustomerState.FROZEN),
    EventType.CUSTOMER_UNFROZEN: (Kind.CUSTOMER_UNFREEZE, 26, CustomerState.OPEN),
    EventType.CUSTOMER_CLOSED: (Kind.CUSTOMER_CLOSE, 27, CustomerState.CLOSED),
}


def _changed(kind: Kind, minute: int, state: str) -> Job:
    job_id = UUID(f"019a87c4-{minute:04}-7f93-a176-a3cfe281749a")
    if kind.startswith("wallet"):
        return _job(job_id, kind, minute, wallet_id=str(SECOND_WALLET_ID), state=state)
    return _job(job_id, kind, minute, customer_id=str(CUSTOMER_ID), state=state)


CHANGES = {type_: _changed(*said) for type_, said in _CHANGES.items()}
ACTION = OperatorAction(
    id=UUID("019a87c4-0022-7a04-8287-b4d0f3928cab"),
    at=_at(22, 4.275),
    actor="key:019a87b0-1f2e-7d3c-9b4a-5c6d7e8f9a0b",
    action=Action.WALLET_FREEZE,
    object=str(SECOND_WALLET_ID),
    details={"reason": REASON, "state": "frozen"},
    job_id=CHANGES[EventType.WALLET_FROZEN].id,
)
BLOCK = Block(
    block=8_412,
    head="5bd7e1a90c3f4e7289d05c6e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c",
    transactions=1_900_211,
    sealed_at=_at(22, 10.0),
)
CANCELED = msgspec.structs.replace(TRANSFER, state=JobState.CANCELED, result=None)

CUSTOMER = Customer(
    id=CUSTOMER_ID,
    full_name="Demo Customer",
    email=EMAIL,
    phone="+250788000001",
    gender="F",
    national_id_last4="0001",
    state=CustomerState.OPEN,
    created_at=_at(10, 4.275),
)
WALLET = Wallet(
    id=WALLET_ID,
    number=WALLET_NUMBER,
    customer_id=CUSTOMER_ID,
    currency="RWF",
    type="personal",
    state=WalletState.OPEN,
    balance=8_500,
    held=0,
    available=8_500,
    created_at=_at(10, 4.275),
)
TRANSACTION = Transaction(
    id=TRANSFER_ID,
    kind=TransactionKind.TRANSFER,
    amount=1_500,
    currency="RWF",
    source_wallet_id=WALLET_ID,
    destination_wallet_id=RECEIVER_WALLET_ID,
    description="Lunch",
    external_reference=None,
    metadata={"order": "A-17"},
    job_id=TRANSFER_ID,
    posted_at=_at(14, 4.275),
)
ENTRIES = [
    StatementEntry(
        transaction_id=TRANSFER_ID,
        kind=TransactionKind.TRANSFER,
        amount=-1_500,
        balance_after=8_500,
        counterparty_number=RECEIVER_NUMBER,
        description="Lunch",
        posted_at=_at(14, 4.275),
    ),
    StatementEntry(
        transaction_id=DEPOSIT_ID,
        kind=TransactionKind.DEPOSIT,
        amount=10_000,
        balance_after=10_000,
        counterparty_number=None,
        description="Cash at the counter",
        posted_at=_at(12, 4.275),
    ),
]
ENDPOINT_ID = UUID("019a87c0-1a2b-7c3d-8e4f-5a6b7c8d9e0f")
DELIVERY_ID = UUID("019a87c2-4e70-7d39-8f54-81adc06f427b")
EVENT_ID = UUID("019a87c2-4d89-7e4a-9b65-92bed17f538c")
REPLAY_ID = UUID("019a87c3-5f81-7e4a-9065-92bed1706389")
WEBHOOK_SECRET = "whsec_VGhpcyBpcyBhbiBleGFtcGxlLCBub3QgYSBzZWNyZXQu"  # noqa: S105 - an example
WEBHOOK_URL = "https://example.com/webhooks/tekana"
REPLAY = _job(REPLAY_ID, Kind.WEBHOOK_REPLAY, 20, events=412, deliveries=37)
REPLAY = msgspec.structs.replace(REPLAY, progress=Progress(done=412, total=412))

ENDPOINT = WebhookEndpoint(
    id=ENDPOINT_ID,
    url=WEBHOOK_URL,
    event_types=["transfer.*", "deposit.succeeded"],
    description="Order service",
    enabled=True,
    disabled_reason=None,
    failing_since=None,
    created_at=_at(5),
)
DELIVERY = Delivery(
    id=DELIVERY_ID,
    endpoint_id=ENDPOINT_ID,
    callback_url=None,
    event_id=EVENT_ID,
    event_type=EventType.TRANSFER_SUCCEEDED,
    state=DeliveryState.SUCCEEDED,
    attempts=[
        Attempt(at=_at(14, 4.29), duration_ms=5_002, status=None, error="timed_out", excerpt=""),
        Attempt(at=_at(14, 14.9), duration_ms=41, status=200, error=None, excerpt="ok"),
    ],
    next_attempt_at=None,
    created_at=_at(14, 4.28),
    finished_at=_at(14, 14.95),
)
TEST = msgspec.structs.replace(
    DELIVERY,
    event_type=EventType.WEBHOOK_TEST,
    state=DeliveryState.PENDING,
    attempts=[],
    next_attempt_at=DELIVERY.created_at,
    finished_at=None,
)
AGAIN = msgspec.structs.replace(TEST, event_type=DELIVERY.event_type)


def event(type_: EventType) -> Event:
    """Return an event of the type."""
    noun, _, verb = type_.partition(".")
    by_noun = {
        "customer": REGISTRATION,
        "wallet": OPENING,
        "deposit": DEPOSIT,
        "withdrawal": WITHDRAWAL,
        "bulk_transfer": brief(BULK),
    }
    job = CHANGES.get(type_) or by_noun.get(noun, REPLAY if noun == "job" else TRANSFER)
    ended = _ended(job, verb) if verb in ENDS else job
    has_moved = noun in {"deposit", "withdrawal", "transfer"} and verb == "succeeded"
    data = {
        EventType.ENDPOINT_DISABLED: DisabledEndpoint(
            endpoint_id=ENDPOINT_ID, url=WEBHOOK_URL, disabled_reason="no_success_for_too_long"
        ),
        EventType.WEBHOOK_TEST: EndpointTest(endpoint_id=ENDPOINT_ID),
    }.get(type_, ended)
    return Event(
        id=EVENT_ID,
        type=type_,
        timestamp=ended.finished_at or _at(14),
        data=data,
        sequences=[one for one in SEQUENCES if noun == "transfer" or one.wallet_id == WALLET_ID] if has_moved else [],
    )


SEQUENCES = [
    WalletSequence(wallet_id=WALLET_ID, sequence=17),
    WalletSequence(wallet_id=RECEIVER_WALLET_ID, sequence=4),
]
ENDS = {
    "rejected": (JobState.REJECTED, JobError(code="currency_mismatch", message="The currency is not the wallet's.")),
    "failed": (JobState.FAILED, JobError(code="attempts_exhausted", message="It could not be settled.")),
    "canceled": (JobState.CANCELED, None),
}


def _ended(job: Job, verb: str) -> Job:
    state, error = ENDS[verb]
    return msgspec.structs.replace(job, state=state, result=None, error=error)
