"""Jobs: what was accepted, and the one end that each of them reaches."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from domain.errors import MESSAGES, Rejection

FINISHED_CHANNEL = "jobs.finished"  # Where workers say which jobs ended: a JSON list of ids.
ATTEMPTS_MAX = 8  # Attempts 4 to 8 are a job's own, alone and spread over 15 s; what fails five times will not pass.
NARROWING = 10  # A batch of 1,000 that fails comes back as 100, then 10, then 1: three steps find the guilty job.
ALONE_FROM_ATTEMPT = 3
RETRY_DELAY_SECONDS_MAX = 60


class JobState(StrEnum):
    QUEUED = "queued"  # Accepted and durable. Nothing has moved yet.
    SUCCEEDED = "succeeded"  # Done, and committed.
    REJECTED = "rejected"  # The rules said no. Final: a retry never turns it into a yes.
    FAILED = "failed"  # We could not, after every attempt. An operator may requeue it.
    CANCELED = "canceled"  # Taken back by its caller while it was still queued.


class Kind(StrEnum):
    CUSTOMER_REGISTER = "customer.register"
    CUSTOMER_FREEZE = "customer.freeze"
    CUSTOMER_UNFREEZE = "customer.unfreeze"
    CUSTOMER_CLOSE = "customer.close"
    WALLET_OPEN = "wallet.open"
    WALLET_FREEZE = "wallet.freeze"
    WALLET_UNFREEZE = "wallet.unfreeze"
    WALLET_CLOSE = "wallet.close"
    DEPOSIT_CREATE = "deposit.create"
    WITHDRAWAL_CREATE = "withdrawal.create"
    TRANSFER_CREATE = "transfer.create"
    BULK_TRANSFER_CREATE = "bulk_transfer.create"
    WEBHOOK_REPLAY = "webhook.replay"


class Queue(StrEnum):
    CUSTOMERS = "customers"
    WALLETS = "wallets"
    TRANSACTIONS = "transactions"
    WEBHOOKS = "webhooks"  # Replays; and its worker sends what is due.
    MAINTENANCE = "maintenance"  # No jobs: housekeeping that beat asks for.


QUEUE_OF: Mapping[Kind, Queue] = {
    Kind.CUSTOMER_REGISTER: Queue.CUSTOMERS,
    Kind.CUSTOMER_FREEZE: Queue.CUSTOMERS,
    Kind.CUSTOMER_UNFREEZE: Queue.CUSTOMERS,
    Kind.CUSTOMER_CLOSE: Queue.CUSTOMERS,
    Kind.WALLET_OPEN: Queue.WALLETS,
    Kind.WALLET_FREEZE: Queue.WALLETS,
    Kind.WALLET_UNFREEZE: Queue.WALLETS,
    Kind.WALLET_CLOSE: Queue.WALLETS,
    Kind.DEPOSIT_CREATE: Queue.TRANSACTIONS,
    Kind.WITHDRAWAL_CREATE: Queue.TRANSACTIONS,
    Kind.TRANSFER_CREATE: Queue.TRANSACTIONS,
    Kind.BULK_TRANSFER_CREATE: Queue.TRANSACTIONS,
    Kind.WEBHOOK_REPLAY: Queue.WEBHOOKS,
}


CallbackUrl: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=2_048,
        description="Is told how this job ends, signed with the API key's own secret. With API keys only.",
    ),
]


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str
    index: int | UnsetType = UNSET  # Of the item that a bulk was rejected for, counted from 0.


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job of many parts has come."""

    done: int
    total: int


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its caller sees it. Only a kind that has many parts has a progress."""

    id: UUID
    kind: Kind
    state: JobState
    created_at: datetime
    finished_at: datetime | None = None
    result: dict[str, Any] | None = None
    error: JobError | None = None
    progress: Progress | UnsetType = UNSET

    @property
    def is_finished(self) -> bool:
        return self.state is not JobState.QUEUED

    @property
    def is_final(self) -> bool:
        """Whether not even an operator can change it."""
        return self.is_finished and self.state is not JobState.FAILED


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A job to accept. `caller` and `idempotency_key` together name it; `fingerprint` is its route and body."""

    id: UUID
    kind: Kind
    queue: Queue
    caller: str
    idempotency_key: str
    fingerprint: bytes
    payload: msgspec.Raw  # JSON.
    items: int | None = None  # How many a bulk has.
    callback_url: str | None = None  # Is told of the job's end.
    trace_context: str | None = None  # W3C's `traceparent` of the request, if it is traced.


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A job that a worker holds the row lock of."""

    id: UUID
    kind: Kind
    payload: bytes  # JSON.
    caller: str
    attempts: int  # How often it was tried before: as often as all others of its batch.
    has_listener: bool = False  # Whether a webhook may have to tell how it ended.
    trace_context: str | None = None  # As in `Submission`.
    items: int | None = None  # Of a bulk: it counts as many jobs.


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended."""

    job_id: UUID
    state: JobState
    result: dict[str, Any] | None = None
    error: JobError | None = None


def succeeded(job_id: UUID, **result: Any) -> Outcome:
    return Outcome(job_id=job_id, state=JobState.SUCCEEDED, result=result)


def rejected(job_id: UUID, code: Rejection, index: int | UnsetType = UNSET) -> Outcome:
    """Return a job's refusal; `index` is of the item that a bulk is refused for."""
    error = JobError(code=code, message=MESSAGES[code], index=index)
    return Outcome(job_id=job_id, state=JobState.REJECTED, error=error)


ATTEMPTS_EXHAUSTED = JobError(code="attempts_exhausted", message="The job could not be settled; nothing has moved.")


def batch_limit(attempts: int, batch_max: int) -> int:
    """Return how many jobs that were tried `attempts` times before may share a batch."""
    return 1 if attempts >= ALONE_FROM_ATTEMPT else max(1, batch_max // NARROWING**attempts)


def retry_delay_seconds(attempts: int) -> int:
    """Return how long a job waits after its latest of `attempts` failures: not at all until it is alone."""
    return (
        0 if attempts <= ALONE_FROM_ATTEMPT else min(2 ** (attempts - ALONE_FROM_ATTEMPT - 1), RETRY_DELAY_SECONDS_MAX)
    )
