"""An example of every operation: one fictional customer, who registers, is paid, and pays.

The answers are the structs that the handlers return, so an example cannot show a field that does not exist.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from api.health import Health
from api.pages import Page
from api.sessions import Tokens
from domain.customers import Customer
from domain.jobs import Job, JobState, Kind
from domain.transactions import StatementEntry, Transaction, TransactionKind
from domain.wallets import Wallet, WalletState


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says, and what it reads: of a job's POST, the job once it has finished."""

    request: dict[str, Any] | None = None
    answer: Any = None


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
    return msgspec.structs.replace(job, state=JobState.QUEUED, finished_at=None, result=None)


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
CANCELED = msgspec.structs.replace(TRANSFER, state=JobState.CANCELED, result=None)

CUSTOMER = Customer(
    id=CUSTOMER_ID,
    full_name="Demo Customer",
    email=EMAIL,
    phone="+250788000001",
    gender="F",
    national_id_last4="0001",
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
TOKENS = Tokens(access_token=TOKEN, token_type="Bearer", expires_in=900, refresh_token=REFRESH_TOKEN)  # noqa: S106 - examples
EVENTS = "".join(
    f"id: {job.state}\nevent: job\ndata: {msgspec.json.encode(job).decode()}\nretry: 1000\n\n"
    for job in (queued(TRANSFER), TRANSFER)
)
METRICS = 'tekana_http_requests_total{method="POST",route="/v1/transfers",status="202"} 1.0\n'

REGISTER: dict[str, Any] = {
    "full_name": "Demo Customer",
    "email": EMAIL,
    "national_id": "1199000000000001",
    "password": PASSWORD,
    "phone": "+250788000001",
    "gender": "F",
    "wallet": {"currency": "RWF", "type": "personal"},
}
MONEY_IN = {
    "wallet_id": str(WALLET_ID),
    "amount": 10_000,
    "currency": "RWF",
    "description": "Cash at the counter",
    "external_reference": "receipt-0042",
}
MONEY_OUT = MONEY_IN | {"amount": 2_000, "external_reference": "payout-0007"}
MONEY_ACROSS = {
    "source_wallet_id": str(WALLET_ID),
    "destination_number": RECEIVER_NUMBER,
    "amount": 1_500,
    "currency": "RWF",
    "description": "Lunch",
    "metadata": {"order": "A-17"},
}

# By operation: a handler's name is its operation's id.
EXAMPLES: dict[str, Example] = {
    "register_customer": Example(request=REGISTER, answer=REGISTRATION),
    "get_me": Example(answer=CUSTOMER),
    "get_customer": Example(answer=CUSTOMER),
    "list_customers": Example(answer=Page(items=[CUSTOMER], next_cursor=None)),
    "log_in": Example(request={"email": EMAIL, "password": PASSWORD}, answer=TOKENS),
    "refresh": Example(request={"refresh_token": REFRESH_TOKEN}, answer=TOKENS),
    "log_out": Example(request={"refresh_token": REFRESH_TOKEN}),
    "open_wallet": Example(request={"currency": "RWF", "type": "saving"}, answer=OPENING),
    "list_wallets": Example(answer=Page(items=[WALLET], next_cursor=None)),
    "get_wallet": Example(answer=WALLET),
    "list_entries": Example(answer=Page(items=ENTRIES, next_cursor=None)),
    "create_deposit": Example(request=MONEY_IN, answer=DEPOSIT),
    "create_withdrawal": Example(request=MONEY_OUT, answer=WITHDRAWAL),
    "create_transfer": Example(request=MONEY_ACROSS, answer=TRANSFER),
    "get_transaction": Example(answer=TRANSACTION),
    "list_transactions": Example(answer=Page(items=[TRANSACTION], next_cursor=CURSOR)),
    "get_job": Example(answer=TRANSFER),
    "list_jobs": Example(answer=Page(items=[TRANSFER], next_cursor=CURSOR)),
    "stream_job": Example(answer=EVENTS),
    "cancel_job": Example(answer=CANCELED),
    "live": Example(answer={"status": "ok"}),
    "ready": Example(answer=Health(status="ok", postgres="up", redis="up")),
    "metrics": Example(answer=METRICS),
}
