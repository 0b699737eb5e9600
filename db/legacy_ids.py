"""What the previous platform called customers and wallets that came from it."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, text

from domain.imports import LegacyKind


def find(connection: Connection, kind: LegacyKind, legacy_ids: Collection[str]) -> dict[str, UUID]:
    """Return our ids of those that are here, by theirs."""
    return {row.legacy_id: row.id for row in connection.execute(FIND, {"kind": kind, "ids": list(legacy_ids)})}


FIND = text("""
    SELECT legacy_id, id FROM legacy_ids WHERE kind = :kind AND legacy_id = ANY(CAST(:ids AS text[]))
""")
