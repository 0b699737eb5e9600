"""Replays: which events of the past are sent to a webhook endpoint again."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from domain.errors import InvalidField
from domain.jobs import Claimed

REPLAY_EVENTS_MAX = 1_000_000  # Of one replay: about ten minutes' work, so that a slip of the year does no harm.


class ReplayWebhooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events to send again: those that happened from `from` on and before `to` (RFC 3339)."""

    begin: datetime = msgspec.field(name="from")
    end: datetime | None = msgspec.field(name="to", default=None)
    only_failed: bool = False

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
    """How far a replay has come: of the events that the endpoint may hear; deliveries made, and the latest event."""

    done: int = 0
    total: int
    deliveries: int = 0
    latest_id: UUID | None = None


def replays(batch: Iterable[Claimed]) -> dict[UUID, Replay]:
    return {job.id: msgspec.json.decode(job.payload, type=Replay) for job in batch}
