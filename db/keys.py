"""API keys: stored as digests, with scopes; they may expire and be revoked."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select, text

import db.webhooks
from db.tables import api_keys


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    digest: bytes
    scopes: Sequence[str]
    expires_at: datetime | None = None


def insert(connection: Connection, key: NewKey) -> None:
    connection.execute(api_keys.insert().values(**msgspec.structs.asdict(key)))


def find_valid(connection: Connection, digests: Sequence[bytes]) -> dict[bytes, StoredKey]:
    """Return the keys of these digests, by digest, without those that are unknown, expired or revoked."""
    rows = connection.execute(FIND_VALID, {"digests": list(digests)})
    return {bytes(row.digest): msgspec.convert(row, StoredKey, from_attributes=True) for row in rows}


FIND_VALID = text("""
    SELECT digest, id, name, scopes, created_at, expires_at, revoked_at FROM api_keys
     WHERE digest = ANY(CAST(:digests AS bytea[])) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
""")


def revoke(connection: Connection, key_id: UUID) -> bool:
    """End a key for good, and with it what it is told by webhooks; False when there is none that is still alive."""
    statement = text("UPDATE api_keys SET revoked_at = now() WHERE id = :id AND revoked_at IS NULL")
    revoked = connection.execute(statement, {"id": key_id}).rowcount == 1
    if revoked:
        db.webhooks.disable_of(connection, key_id)
    return revoked


def every(connection: Connection) -> list[StoredKey]:
    columns = (api_keys.c[name] for name in StoredKey.__struct_fields__)
    rows = connection.execute(select(*columns).order_by(api_keys.c.id))
    return [msgspec.convert(row, StoredKey, from_attributes=True) for row in rows]
