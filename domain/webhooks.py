"""Webhook endpoints: what an integrator may ask for, and how its messages are signed (Standard Webhooks 1.0)."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from domain.events import EVERYTHING, PATTERNS_MAX, check_patterns

ENDPOINTS_MAX = 20  # Of one API key: each event is matched against all, and each match is a delivery.
OVERLAP_HOURS = 24  # After a rotation the old secret signs that much longer, so that receivers can follow.

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
