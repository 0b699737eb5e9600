"""Sealed columns: which there are, and how their rows are sealed anew after a key was replaced."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from sqlalchemy import Connection, text

from sealing import Sealer

PAGE_MAX = 1_000  # Rows in one transaction: 20 ms of cryptography, so that nobody waits for their locks.


class Unopened(Exception):
    """A sealed text does not open."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    table: str
    key: str  # The column of the primary key.
    name: str


class Resealed(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    last: UUID | None  # The place to go on from; None when nothing is left.


NOTHING_YET = Resealed(count=0, last=UUID(int=0))  # No row has this id: it is before all of them.

PERSONAL = (
    Column(table="customers", key="id", name="national_id_sealed"),
    Column(table="customers", key="id", name="phone_sealed"),
)
OF_WEBHOOKS = (
    Column(table="webhook_secrets", key="owner_id", name="sealed"),
    Column(table="webhook_secrets", key="owner_id", name="previous_sealed"),
)


def reseal(connection: Connection, column: Column, sealer: Sealer, after: UUID) -> Resealed:
    """Seal the next rows after `after` that another key sealed with the one that seals now.

    Raises:
        Unopened: a row's key is not among the sealer's, or the row was tampered with.

    """
    found = _sealed_otherwise(connection, column, sealer, after)
    renewed = {row_id: sealer.seal(_open(column, row_id, sealed, sealer)) for row_id, sealed in found.items()}
    _replace(connection, column, renewed)
    return Resealed(count=len(renewed), last=max(renewed) if len(renewed) == PAGE_MAX else None)


def _sealed_otherwise(connection: Connection, column: Column, sealer: Sealer, after: UUID) -> dict[UUID, str]:
    statement = text(
        f"SELECT {column.key} AS id, {column.name} AS sealed FROM {column.table}"  # noqa: S608 - names of ours
        f" WHERE {column.key} > :after AND NOT starts_with({column.name}, :prefix)"
        f" ORDER BY {column.key} LIMIT :limit FOR UPDATE"
    )
    rows = connection.execute(statement, {"after": after, "prefix": sealer.prefix, "limit": PAGE_MAX})
    return {row.id: row.sealed for row in rows}


def _open(column: Column, row_id: UUID, sealed: str, sealer: Sealer) -> str:
    try:
        return sealer.open(sealed)
    except (KeyError, InvalidTag) as error:
        reason = "tampered with" if isinstance(error, InvalidTag) else f"sealed with {error}, a key that is not set"
        raise Unopened(f"{column.table} {row_id}: {column.name} is {reason}") from error


def _replace(connection: Connection, column: Column, renewed: Mapping[UUID, str]) -> None:
    statement = text(
        f"UPDATE {column.table} SET {column.name} = renewed.sealed"  # noqa: S608 - names of ours
        " FROM unnest(CAST(:ids AS uuid[]), CAST(:sealed AS text[])) AS renewed (id, sealed)"
        f" WHERE {column.table}.{column.key} = renewed.id"
    )
    connection.execute(statement, {"ids": list(renewed), "sealed": list(renewed.values())})


def waiting(connection: Connection, sealer: Sealer) -> Sequence[UUID]:
    """Return the registrations that are queued, or failed and may be requeued, and that another key sealed.

    They are not sealed anew: a queued one is about to become a row, a failed one is a record that nobody edits.
    """
    return connection.scalars(WAITING, {"prefix": sealer.prefix}).all()


WAITING = text("""
    SELECT id FROM jobs
     WHERE state IN ('queued', 'failed') AND kind = 'customer.register'
       AND NOT starts_with(payload ->> 'national_id_sealed', :prefix)
     ORDER BY id
""")
