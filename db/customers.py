"""Customers as rows: personal data sealed, looked up by keyed indexes."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, Select, select, text

from db.tables import customers
from domain.customers import CustomerState, Registration


class StoredCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer as stored: what is sealed stays sealed."""

    id: UUID
    full_name: str
    email: str
    national_id_sealed: str
    phone_sealed: str | None
    gender: str | None
    password_hash: str
    created_at: datetime
    state: CustomerState


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the asked e-mails and national id indexes belong to someone."""

    emails: set[str]
    national_ids: set[str]


def taken(connection: Connection, registrations: Collection[Registration]) -> Taken:
    emails = [one.email for one in registrations]
    national_ids = [one.national_id_index for one in registrations]
    by_email = connection.scalars(select(customers.c.email).where(customers.c.email.in_(emails)))
    index = customers.c.national_id_index
    by_national_id = connection.scalars(select(index).where(index.in_(national_ids)))
    return Taken(emails=set(by_email), national_ids=set(by_national_id))


def insert(connection: Connection, registered: Mapping[UUID, Registration]) -> None:
    """Write new customers under their ids."""
    if registered:
        columns = set(customers.c.keys())
        rows = [
            {name: value for name, value in msgspec.structs.asdict(one).items() if name in columns}
            | {"id": customer_id}
            for customer_id, one in registered.items()
        ]
        connection.execute(customers.insert(), rows)


def find(connection: Connection, customer_id: UUID) -> StoredCustomer | None:
    return _first(connection, _select().where(customers.c.id == customer_id))


def find_by_email(connection: Connection, email: str) -> StoredCustomer | None:
    return _first(connection, _select().where(customers.c.email == email))


def replace_hash(connection: Connection, customer_id: UUID, former: str, renewed: str) -> bool:
    """Replace a password's hash, if it still is the former one; the API may do it by this function only."""
    return bool(connection.scalar(REPLACE_HASH, {"id": customer_id, "former": former, "renewed": renewed}))


REPLACE_HASH = text("SELECT replace_password_hash(:id, :former, :renewed)")


def page(connection: Connection, email: str | None, before: UUID | None, limit: int) -> list[StoredCustomer]:
    """Return at most `limit` customers, newest first, that registered before `before`."""
    query = _select().order_by(customers.c.id.desc()).limit(limit)
    if email is not None:
        query = query.where(customers.c.email == email)
    if before is not None:
        query = query.where(customers.c.id < before)
    return [_stored(row) for row in connection.execute(query)]


def _first(connection: Connection, query: Select[Any]) -> StoredCustomer | None:
    row = connection.execute(query).first()
    return None if row is None else _stored(row)


def _select() -> Select[Any]:
    return select(*(customers.c[name] for name in StoredCustomer.__struct_fields__))


def _stored(row: Row[Any]) -> StoredCustomer:
    return msgspec.convert(row, StoredCustomer, from_attributes=True)
