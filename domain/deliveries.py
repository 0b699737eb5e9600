"""Deliveries of events, and what came of each attempt."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

EXCERPT_CHARACTERS = 256  # Of an answer's body: enough for an error message, too little for a data dump.


class DeliveryState(StrEnum):
    PENDING = "pending"  # An attempt is due, now or later.
    SUCCEEDED = "succeeded"  # The receiver answered 2xx.
    FAILED = "failed"  # Every attempt of the schedule failed, or the receiver answered 410.
    CANCELED = "canceled"  # Its endpoint was switched off or deleted, or its API key has ended.


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one attempt: a status, or the reason why there is none."""

    duration_ms: int
    status: int | None = None
    error: str | None = None  # A snake_case sentence, such as `timed_out`.
    retry_after: str | None = None  # The header as it was sent (RFC 9110, section 10.2.3).
    excerpt: str = ""  # The first printable characters of the body.

    @property
    def is_success(self) -> bool:
        return self.error is None and self.status is not None and 200 <= self.status < 300


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt as the log shows it. Without a status, `error` says why there is none."""

    at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    excerpt: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to an endpoint, or to the callback URL of its job."""

    id: UUID
    endpoint_id: UUID | None
    callback_url: str | None
    event_id: UUID
    event_type: str
    state: DeliveryState
    attempts: list[Attempt]
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
