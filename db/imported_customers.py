"""Customers of a previous platform as rows."""

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import Connection, text

from db.copy_rows import NULL, copy, escape
from domain.imported_customers import SealedCustomer, StoredCustomer

COLUMNS = (
    "id, full_name, email, national_id_sealed, national_id_index, phone_sealed, phone_index, gender, password_hash,"
    " created_at"
)


def insert(connection: Connection, customers: Sequence[SealedCustomer]) -> None:
    """Write customers, and what they were called before."""
    copy(connection, "customers", COLUMNS, map(_line, customers))
    old = (f"customer\t{escape(one.legacy_id)}\t{one.id}\n" for one in customers)
    copy(connection, "legacy_ids", "kind, legacy_id, id", old)


def _line(one: SealedCustomer) -> str:
    return (
        f"{one.id}\t{escape(one.full_name)}\t{escape(one.email)}\t{one.national_id_sealed}\t{one.national_id_index}\t"
        f"{one.phone_sealed or NULL}\t{one.phone_index or NULL}\t{one.gender or NULL}\t{one.password_hash}\t"
        f"{one.created_at.isoformat()}\n"
    )


def stored(connection: Connection, legacy_ids: Collection[str]) -> dict[str, StoredCustomer]:
    """Return those who are here, by what they were called before."""
    rows = connection.execute(STORED, {"ids": list(legacy_ids)})
    return {row.legacy_id: msgspec.convert(row, StoredCustomer, from_attributes=True) for row in rows}


STORED = text("""
    SELECT legacy_id, full_name, email, national_id_index, phone_index, gender, created_at
      FROM legacy_ids JOIN customers ON customers.id = legacy_ids.id
     WHERE legacy_ids.kind = 'customer' AND legacy_id = ANY(CAST(:ids AS text[]))
""")
