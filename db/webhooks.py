"""Webhook endpoints as rows, and how well they answer."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection, Row, select, text

import db.deliveries
import db.events
import db.secrets
from db.events import NewEvent
from db.rows import encode
from db.tables import webhook_endpoints
from domain.events import DisabledEndpoint, EventType
from domain.webhooks import UpdateWebhookEndpoint, WebhookEndpoint

DELETED = "deleted"
BY_OWNER = "disabled_by_owner"
KEY_REVOKED = "key_revoked"


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    key_id: UUID
    url: str
    event_types: list[str]
    description: str | None
    enabled: bool
    disabled_reason: str | None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint's latest attempts say of it."""

    endpoint_id: UUID
    succeeded: bool
    is_gone: bool
    pause_seconds: float = 0.0  # For how long it wants nothing.


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with whose it is."""

    endpoint: WebhookEndpoint
    key_id: UUID


def insert(connection: Connection, endpoint: NewEndpoint, sealed_secret: str, endpoints_max: int) -> Owned | None:
    """Write an endpoint and its secret; None when the key has `endpoints_max` of them."""
    # Whoever adds another one for the key waits here, so that both count each other's.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": str(endpoint.key_id)})
    if connection.scalar(COUNT, {"key_id": endpoint.key_id}) >= endpoints_max:
        return None
    row = connection.execute(
        webhook_endpoints.insert().values(**msgspec.structs.asdict(endpoint)).returning(*SHOWN)
    ).one()
    db.secrets.rotate(connection, endpoint.id, sealed_secret)
    return _owned(row)


COUNT = text("SELECT count(*) FROM webhook_endpoints WHERE key_id = :key_id AND deleted_at IS NULL")


def find(connection: Connection, endpoint_id: UUID) -> Owned | None:
    statement = select(*SHOWN).where(webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.deleted_at.is_(None))
    row = connection.execute(statement).first()
    return None if row is None else _owned(row)


def page(connection: Connection, key_id: UUID | None, before: UUID | None, limit: int) -> list[WebhookEndpoint]:
    """Return at most `limit` endpoints, of one key or (None) of all, newest first, older than `before`."""
    query = select(*SHOWN).where(webhook_endpoints.c.deleted_at.is_(None))
    if key_id is not None:
        query = query.where(webhook_endpoints.c.key_id == key_id)
    if before is not None:
        query = query.where(webhook_endpoints.c.id < before)
    rows = connection.execute(query.order_by(webhook_endpoints.c.id.desc()).limit(limit))
    return [_owned(row).endpoint for row in rows]


def update(connection: Connection, endpoint_id: UUID, change: UpdateWebhookEndpoint) -> Owned | None:
    """Change what is given. Switched on again, an endpoint hears what happens from then on."""
    values = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    if change.enabled is True:
        values |= {"disabled_reason": None, "failing_since": None, "paused_until": None, "since_xact_id": SINCE_NOW}
    elif change.enabled is False:
        values |= {"disabled_reason": REASON_NOW}
    if change.enabled is False:
        db.deliveries.cancel(connection, [endpoint_id])
    if values:
        statement = webhook_endpoints.update().values(**values)
        endpoint = (webhook_endpoints.c.id == endpoint_id) & webhook_endpoints.c.deleted_at.is_(None)
        connection.execute(statement.where(endpoint))
    return find(connection, endpoint_id)


# Already disabled: why it was, is what its owner wants to know.
REASON_NOW = text(f"CASE WHEN enabled THEN '{BY_OWNER}' ELSE disabled_reason END")
# Already enabled: nothing that waits to be told is to be left out. Otherwise whatever is committed from now on is told,
# and that may have begun before.
SINCE_NOW = text(f"CASE WHEN enabled THEN since_xact_id ELSE {db.events.HORIZON} END")


def delete(connection: Connection, endpoint_id: UUID) -> bool:
    """Switch an endpoint off for good; its deliveries stay in the log. False when there is none."""
    db.deliveries.cancel(connection, [endpoint_id])  # First: who locks in one order never deadlocks.
    deleted = connection.execute(DELETE, {"id": endpoint_id, "reason": DELETED}).rowcount == 1
    if deleted:
        connection.execute(text("DELETE FROM webhook_secrets WHERE owner_id = :id"), {"id": endpoint_id})
    return deleted


DELETE = text("""
    UPDATE webhook_endpoints SET deleted_at = now(), enabled = false, disabled_reason = :reason
     WHERE id = :id AND deleted_at IS NULL
""")


def disable_of(connection: Connection, key_id: UUID) -> None:
    """Switch off all endpoints of an API key that has ended, and send nothing more to its callbacks."""
    db.deliveries.cancel_of(connection, key_id)  # First: as above.
    connection.execute(DISABLE_OF, {"key_id": key_id, "reason": KEY_REVOKED})


DISABLE_OF = text("""
    UPDATE webhook_endpoints SET enabled = false, disabled_reason = :reason WHERE key_id = :key_id AND enabled
""")


def note_health(connection: Connection, seen: Sequence[Health], disable_after_seconds: int) -> list[DisabledEndpoint]:
    """Remember since when endpoints fail; switch off, with an event, those that are gone or failed for too long."""
    parameters = {"rows": encode(seen), "seconds": disable_after_seconds}
    connection.execute(NOTE_FAILURES, parameters)
    rows = connection.execute(DISABLE, parameters).all()
    disabled = [msgspec.convert(row, DisabledEndpoint, from_attributes=True) for row in rows]
    if disabled:
        db.deliveries.cancel(connection, [one.endpoint_id for one in disabled])
        db.events.record(connection, *(_disabled(row, one) for row, one in zip(rows, disabled, strict=True)))
    return disabled


def _disabled(row: Row[Any], endpoint: DisabledEndpoint) -> NewEvent:
    return NewEvent(
        id=row.event_id,
        type=EventType.ENDPOINT_DISABLED,
        occurred_at=row.disabled_at,
        caller=row.caller,
        data=endpoint,
    )


SEEN = """
    json_to_recordset(CAST(:rows AS json))
        AS seen (endpoint_id uuid, succeeded boolean, is_gone boolean, pause_seconds double precision)
"""
NOTE_FAILURES = text(f"""
    UPDATE webhook_endpoints
       SET failing_since = CASE WHEN NOT succeeded THEN coalesce(failing_since, now()) END,
           paused_until = greatest(paused_until, now() + make_interval(secs => nullif(pause_seconds, 0)))
      FROM {SEEN}
     WHERE id = endpoint_id AND (succeeded = (failing_since IS NOT NULL) OR pause_seconds > 0)
""")  # noqa: S608 - constants
DISABLE = text(f"""
    UPDATE webhook_endpoints
       SET enabled = false, disabled_reason = CASE WHEN is_gone THEN 'answered_410' ELSE 'no_success_for_too_long' END
      FROM {SEEN}
     WHERE id = endpoint_id AND enabled
       AND (is_gone OR (NOT succeeded AND failing_since <= now() - make_interval(secs => :seconds)))
 RETURNING endpoint_id, url, disabled_reason, 'key:' || key_id AS caller, now() AS disabled_at,
           uuid7(now(), gen_random_uuid()) AS event_id
""")  # noqa: S608 - constants


SHOWN = [webhook_endpoints.c[name] for name in (*WebhookEndpoint.__struct_fields__, "key_id")]


def _owned(row: Row[Any]) -> Owned:
    return Owned(endpoint=msgspec.convert(row, WebhookEndpoint, from_attributes=True), key_id=row.key_id)
