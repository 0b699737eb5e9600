"""Replays: which events of the past are sent to a webhook endpoint again."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from domain.errors import InvalidField
from domain.jobs import CallbackUrl, Claimed

REPLAY_EVENTS_MAX = 1_000_000  # Of one replay: about ten minutes' work, so that a slip of the year does no harm.


class ReplayWebhooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events to send again: those that happened from `from` on and before `to` (RFC 3339)."""

    begin: datetime = msgspec.field(name="from")
    end: datetime | None = msgspec.field(name="to", default=None)
    only_failed: bool = False
    callback_url: CallbackUrl | None = None

    def __post_init__(self) -> None:
        for name, moment in (("from", self.begin), ("to", self.end)):
            if moment is not None and moment.tzinfo is None:
                raise InvalidField(name, "must end with Z or an offset")
        if self.end is not None and self.end <= self.begin:
            raise InvalidField("to", "must be later than from")


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of `webhook.replay`."""

    endpoint_id: UUID
    begin: datetime
    end: datetime
    only_failed: bool


class ReplayProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a replay has come.

    First the events of its time are counted: `looked_at`, up to `counted_id`; `total` is those that the endpoint may
    hear, and grows until `is_counted`. Then they are sent again, up to `latest_id`. A release that did not count by
    parts kept the last three only; what it left is counted.
    """

    is_counted: bool = True
    looked_at: int = 0
    counted_id: UUID | None = None
    total: int = 0
    done: int = 0
    deliveries: int = 0
    latest_id: UUID | None = None


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a replay.

    `events` were looked at, the endpoint may hear of `heard` of them, and they made `deliveries`.
    """

    events: int
    heard: int
    deliveries: int
    last_id: UUID | None


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How many events there are in a time, of how many of them an endpoint may hear, and which is the last."""

    events: int
    heard: int
    last_id: UUID | None


def replays(batch: Iterable[Claimed]) -> dict[UUID, Replay]:
    return {job.id: msgspec.json.decode(job.payload, type=Replay) for job in batch}
