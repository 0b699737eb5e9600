"""Webhook endpoints: what an integrator may ask for, and how its messages are signed (Standard Webhooks 1.0)."""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from domain.errors import InvalidField
from domain.events import EVERYTHING, PATTERNS_MAX, check_patterns
from domain.jobs import Claimed

REPLAY_EVENTS_MAX = 1_000_000  # Of one replay: about ten minutes' work, so that a slip of the year does no harm.
ENDPOINTS_MAX = 20  # Of one API key: each event is matched against all, and each match is a delivery.
SECRET_PREFIX = "whsec_"  # noqa: S105 - Standard Webhooks' own, for scanners that look for leaked secrets
SECRET_BYTES_MIN = 24  # Standard Webhooks' own bound.
SECRET_BYTES = 32  # Standard Webhooks wants 24 to 64; HMAC-SHA256 gains nothing from more (RFC 2104, section 3).
OVERLAP_HOURS = 24  # After a rotation the old secret signs that much longer, so that receivers can follow.
TIMESTAMP = re.compile("[1-9][0-9]{0,11}")  # Until the year 33658.
TOLERANCE_SECONDS = 300  # A message that is older may be a replay by somebody who overheard it.

Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2_048, description="https, port 443 or 8443, public.")]
EventTypes = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=64)]],
    msgspec.Meta(
        min_length=1, max_length=PATTERNS_MAX, description="Types, prefixes such as `transfer.*`, or `*` for all."
    ),
]
Description = Annotated[str, msgspec.Meta(max_length=255, description="The caller's own note.")]


class CreateWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Url
    event_types: EventTypes = msgspec.field(default_factory=lambda: [EVERYTHING])
    description: Description | None = None
    enabled: bool = True

    def __post_init__(self) -> None:
        check_patterns(self.event_types, "event_types")


class UpdateWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is not given stays as it is."""

    url: Url | UnsetType = UNSET
    event_types: EventTypes | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.event_types is not UNSET:
            check_patterns(self.event_types, "event_types")


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
    """How far a replay has come: events looked at, deliveries made, and the latest event."""

    done: int = 0
    total: int
    deliveries: int = 0
    latest_id: UUID | None = None

    @property
    def is_complete(self) -> bool:
        return self.done >= self.total


class WebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as its owner sees it."""

    id: UUID
    url: str
    event_types: list[str]
    description: str | None
    enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None
    created_at: datetime


class CreatedWebhookEndpoint(WebhookEndpoint, frozen=True, kw_only=True):
    """An endpoint with its secret, which is shown this once."""

    secret: str


class RotatedSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A new secret, shown this once. Until `previous_until` messages carry a signature of the old one too."""

    secret: str
    previous_until: datetime | None


def replays(batch: Iterable[Claimed]) -> dict[UUID, Replay]:
    return {job.id: msgspec.json.decode(job.payload, type=Replay) for job in batch}


def new_secret(random: bytes) -> str:
    """Return 32 random bytes as a secret is written: `whsec_` and base64."""
    return SECRET_PREFIX + base64.b64encode(random).decode()


def signature(secrets: Iterable[str], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` header: one `v1,<base64>` for each secret.

    `timestamp` in seconds since 1970. Source: Standard Webhooks 1.0, "Signature scheme", symmetric.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(_key(secret), signed, "sha256") for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def is_signed(secret: str, headers: dict[str, str], body: bytes, *, now: float) -> bool:
    """Tell whether a message comes from who knows the secret, and is not old (`now` in seconds since 1970).

    `headers` by lower-case name: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    """
    try:
        timestamp = _seconds(headers["webhook-timestamp"])
        expected = signature([secret], headers["webhook-id"], timestamp, body).encode()
        given = headers["webhook-signature"].encode().split()
    except (KeyError, ValueError):
        return False
    is_known = any(hmac.compare_digest(expected, one) for one in given)
    return is_known and now - TOLERANCE_SECONDS <= timestamp <= now + TOLERANCE_SECONDS


def _seconds(text: str) -> int:
    """Read a timestamp as it is written, so that what is checked is what was signed: no sign, blank or underscore."""
    if not TIMESTAMP.fullmatch(text):
        raise ValueError("not a timestamp")
    return int(text)


def _key(secret: str) -> bytes:
    """Return the bytes of a secret. An empty one would make everybody's signature valid."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("not a webhook secret") from error
    if len(key) < SECRET_BYTES_MIN:
        raise ValueError("not a webhook secret")
    return key
