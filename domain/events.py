"""Events: what happened, as the feed and webhooks tell it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from domain.errors import InvalidField
from domain.jobs import JobState, Kind

EVERYTHING = "*"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PATTERNS_MAX = 50  # More than there are types and prefixes: more says nothing that fewer could not.


class EventType(StrEnum):
    CUSTOMER_REGISTERED = "customer.registered"
    CUSTOMER_FROZEN = "customer.frozen"
    CUSTOMER_UNFROZEN = "customer.unfrozen"
    CUSTOMER_CLOSED = "customer.closed"
    WALLET_OPENED = "wallet.opened"
    WALLET_FROZEN = "wallet.frozen"
    WALLET_UNFROZEN = "wallet.unfrozen"
    WALLET_CLOSED = "wallet.closed"
    DEPOSIT_SUCCEEDED = "deposit.succeeded"
    DEPOSIT_REJECTED = "deposit.rejected"
    DEPOSIT_FAILED = "deposit.failed"
    DEPOSIT_CANCELED = "deposit.canceled"
    WITHDRAWAL_SUCCEEDED = "withdrawal.succeeded"
    WITHDRAWAL_REJECTED = "withdrawal.rejected"
    WITHDRAWAL_FAILED = "withdrawal.failed"
    WITHDRAWAL_CANCELED = "withdrawal.canceled"
    TRANSFER_SUCCEEDED = "transfer.succeeded"
    TRANSFER_REJECTED = "transfer.rejected"
    TRANSFER_FAILED = "transfer.failed"
    TRANSFER_CANCELED = "transfer.canceled"
    BULK_TRANSFER_SUCCEEDED = "bulk_transfer.succeeded"
    BULK_TRANSFER_REJECTED = "bulk_transfer.rejected"
    BULK_TRANSFER_FAILED = "bulk_transfer.failed"
    BULK_TRANSFER_CANCELED = "bulk_transfer.canceled"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_REJECTED = "job.rejected"
    JOB_FAILED = "job.failed"
    JOB_CANCELED = "job.canceled"
    ENDPOINT_DISABLED = "webhook_endpoint.disabled"
    WEBHOOK_TEST = "webhook.test"

    @property
    def noun(self) -> str:
        return self.partition(".")[0]


MEANINGS: Mapping[EventType, str] = {
    EventType.CUSTOMER_REGISTERED: "A customer was registered.",
    EventType.CUSTOMER_FROZEN: "A customer was frozen, and with them all their wallets that are not closed.",
    EventType.CUSTOMER_UNFROZEN: "A customer was unfrozen, and with them wallets that were not frozen themselves.",
    EventType.CUSTOMER_CLOSED: "A customer was closed, for good.",
    EventType.WALLET_OPENED: "A wallet was opened, by a job of its own or with its customer's registration.",
    EventType.WALLET_FROZEN: "A wallet was frozen: nothing moves in or out of it.",
    EventType.WALLET_UNFROZEN: "A wallet was unfrozen: money moves again.",
    EventType.WALLET_CLOSED: "A wallet, which was empty, was closed for good.",
    EventType.DEPOSIT_SUCCEEDED: "Money came in; it is posted.",
    EventType.DEPOSIT_REJECTED: "A rule refused a deposit; nothing has moved.",
    EventType.DEPOSIT_FAILED: "A deposit could not be settled, after every attempt; nothing has moved.",
    EventType.DEPOSIT_CANCELED: "A deposit was taken back while it was queued.",
    EventType.WITHDRAWAL_SUCCEEDED: "Money went out; it is posted.",
    EventType.WITHDRAWAL_REJECTED: "A rule refused a withdrawal; nothing has moved.",
    EventType.WITHDRAWAL_FAILED: "A withdrawal could not be settled, after every attempt; nothing has moved.",
    EventType.WITHDRAWAL_CANCELED: "A withdrawal was taken back while it was queued.",
    EventType.TRANSFER_SUCCEEDED: "Money moved from one wallet to another; it is posted.",
    EventType.TRANSFER_REJECTED: "A rule refused a transfer; nothing has moved.",
    EventType.TRANSFER_FAILED: "A transfer could not be settled, after every attempt; nothing has moved.",
    EventType.TRANSFER_CANCELED: "A transfer was taken back while it was queued.",
    EventType.BULK_TRANSFER_SUCCEEDED: "A bulk transfer was settled; its job says what became of each item.",
    EventType.BULK_TRANSFER_REJECTED: "A rule refused an item of a bulk of all or nothing; nothing has moved.",
    EventType.BULK_TRANSFER_FAILED: "A bulk transfer could not be settled, after every attempt; nothing has moved.",
    EventType.BULK_TRANSFER_CANCELED: "A bulk transfer was taken back while it was queued.",
    EventType.JOB_SUCCEEDED: "A job ended well that no other type tells of, such as a replay.",
    EventType.JOB_REJECTED: "A rule refused a registration, an opening or another job that moves no money.",
    EventType.JOB_FAILED: "A job that moves no money could not be settled, after every attempt.",
    EventType.JOB_CANCELED: "A job that moves no money was taken back while it was queued.",
    EventType.ENDPOINT_DISABLED: "An endpoint was switched off: it answered 410, or never 2xx for too long.",
    EventType.WEBHOOK_TEST: "Somebody asked for a test; sent to that one endpoint, whatever it subscribes to.",
}

MOVEMENTS = frozenset({Kind.DEPOSIT_CREATE, Kind.WITHDRAWAL_CREATE, Kind.TRANSFER_CREATE, Kind.BULK_TRANSFER_CREATE})
SUCCESSES = {
    Kind.CUSTOMER_REGISTER: EventType.CUSTOMER_REGISTERED,
    Kind.CUSTOMER_FREEZE: EventType.CUSTOMER_FROZEN,
    Kind.CUSTOMER_UNFREEZE: EventType.CUSTOMER_UNFROZEN,
    Kind.CUSTOMER_CLOSE: EventType.CUSTOMER_CLOSED,
    Kind.WALLET_OPEN: EventType.WALLET_OPENED,
    Kind.WALLET_FREEZE: EventType.WALLET_FROZEN,
    Kind.WALLET_UNFREEZE: EventType.WALLET_UNFROZEN,
    Kind.WALLET_CLOSE: EventType.WALLET_CLOSED,
}


def types_of(kind: Kind, state: JobState, *, with_wallet: bool = False) -> list[EventType]:
    """Return the events of a job's end. The database writes them by the same rules (see the trigger on jobs).

    `with_wallet`: whether a registration has opened a wallet too.
    """
    if kind in MOVEMENTS:
        return [EventType(f"{kind.partition('.')[0]}.{state}")]
    if state is not JobState.SUCCEEDED:
        return [EventType(f"job.{state}")]
    opened = [EventType.WALLET_OPENED] if with_wallet else []
    return [SUCCESSES.get(kind, EventType.JOB_SUCCEEDED), *opened]


class WalletSequence(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a movement's entry in its wallet's history: 1, 2, 3 ...; a missing number is a missed event."""

    wallet_id: UUID
    sequence: int


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What is told, by feed and webhook alike. `data` is the job as GET returns it, or what a webhook says itself."""

    id: UUID
    type: EventType
    timestamp: datetime
    data: Any
    sequences: list[WalletSequence]  # Of each customer's wallet that a posted movement touched.


class DisabledEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The data of `webhook_endpoint.disabled`."""

    endpoint_id: UUID
    url: str
    disabled_reason: str


class EndpointTest(msgspec.Struct, frozen=True, kw_only=True):
    """The data of `webhook.test`."""

    endpoint_id: UUID
    message: str = "This is a test."


def first_id(moment: datetime) -> UUID:
    """Return the lowest id that an event of this microsecond can have.

    A UUIDv7 (RFC 9562, section 5.7) whose twelve bits after the version are the microseconds of its millisecond.
    """
    micros = (moment - EPOCH) // timedelta(microseconds=1)
    milliseconds, rest = divmod(max(micros, 0), 1_000)
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (rest << 64) | (0b10 << 62))


def check_patterns(patterns: Sequence[str], field: str) -> None:
    """Refuse a pattern that matches nothing.

    Raises:
        InvalidField: one is no event type, no `noun.*` of one, and not `*`.

    """
    known = {EVERYTHING, *EventType, *(f"{one.noun}.*" for one in EventType)}
    for pattern in patterns:
        if pattern not in known:
            message = f"{pattern!r} is not an event type, a prefix such as transfer.*, or * (see /v1/event-types)"
            raise InvalidField(field, message)
