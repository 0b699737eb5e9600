"""Secrets of webhook endpoints and of API keys' callbacks, which stay sealed here."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from domain.webhooks import OVERLAP_HOURS


def rotate(connection: Connection, owner_id: UUID, sealed: str) -> Any:
    """Give an endpoint, or an API key's callbacks, a new secret; return until when the old one signs too, if any."""
    return connection.scalar(ROTATE, {"owner": owner_id, "sealed": sealed, "hours": OVERLAP_HOURS})


ROTATE = text("""
    INSERT INTO webhook_secrets AS known (owner_id, sealed) VALUES (:owner, :sealed)
    ON CONFLICT ON CONSTRAINT webhook_secrets_pkey DO UPDATE
       SET sealed = excluded.sealed, previous_sealed = known.sealed,
           previous_until = now() + make_interval(hours => :hours)
 RETURNING previous_until
""")


def has_secret(connection: Connection, owner_id: UUID) -> bool:
    statement = text("SELECT EXISTS (SELECT FROM webhook_secrets WHERE owner_id = :owner)")
    return bool(connection.scalar(statement, {"owner": owner_id}))
