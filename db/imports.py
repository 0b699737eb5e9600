"""Imports: which files there were, and how far each has come. The position is committed with the rows before it."""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, text
from uuid_utils.compat import uuid7

from domain.control_totals import Totals
from domain.imports import FileKind


class Overtaken(Exception):
    """Another process imports the same file at this moment."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a file has come."""

    position: int = 0  # Bytes; 0 is before the header.
    row_number: int = 1
    reject_bytes: int = 0
    imported: int = 0
    rejected: int = 0
    totals: Totals = msgspec.field(default_factory=Totals)


class Import(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    progress: Progress
    is_finished: bool


def begin(connection: Connection, digest: bytes, kind: FileKind, file_name: str) -> Import:
    """Return the file's import: a new one, or how far the one before has come."""
    connection.execute(BEGIN, {"id": uuid7(), "digest": digest, "kind": kind, "file_name": file_name})
    row = connection.execute(FIND, {"digest": digest}).one()
    return Import(id=row.id, progress=_progress(row), is_finished=row.finished_at is not None)


BEGIN = text("""
    INSERT INTO imports (id, digest, kind, file_name) VALUES (:id, :digest, :kind, :file_name)
        ON CONFLICT (digest) DO NOTHING
""")
FIND = text("SELECT * FROM imports WHERE digest = :digest")


def _progress(row: Row[Any]) -> Progress:
    return msgspec.convert(row, Progress, from_attributes=True)


def hold(connection: Connection, import_id: UUID, before: Progress) -> None:
    """Keep the file's position as it is until the end of the transaction: what is written beside it follows from it.

    Raises:
        Overtaken: it does not stand there any more.

    """
    if connection.execute(HOLD, {"id": import_id, "before": before.position}).first() is None:
        raise Overtaken


HOLD = text("SELECT id FROM imports WHERE id = :id AND position = :before AND finished_at IS NULL FOR UPDATE")


def advance(connection: Connection, import_id: UUID, after: Progress, *, is_last: bool) -> None:
    """Move the file's position, which this transaction holds, to `after`."""
    values = msgspec.structs.asdict(after) | {"totals": msgspec.json.encode(after.totals).decode()}
    connection.execute(ADVANCE, values | {"id": import_id, "is_last": is_last})


ADVANCE = text("""
    UPDATE imports SET position = :position, row_number = :row_number, reject_bytes = :reject_bytes,
                       imported = :imported, rejected = :rejected, totals = CAST(:totals AS jsonb),
                       finished_at = CASE WHEN :is_last THEN now() END
     WHERE id = :id
""")
