"""Rows for a set-based statement: one JSON parameter, which PostgreSQL reads with `json_to_recordset`.

Arrays for `unnest`, a parameter for each column, cost Python four times as much (decision 7). Rows that many are read
of come back likewise, as one text.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec

T = TypeVar("T")


def encode(rows: Sequence[msgspec.Struct | Mapping[str, Any]]) -> str:
    """Return the rows as JSON: fields by name, bytes in base64."""
    return msgspec.json.encode(rows).decode()


def decode(rows: str | None, type_: type[list[T]]) -> list[T]:
    """Return the rows that `json_agg` made; of none it makes nothing."""
    return [] if rows is None else msgspec.json.decode(rows, type=type_)


def uuids(ids: Collection[UUID]) -> str:
    """Return what `CAST(... AS uuid[])` reads: a list of quoted ids, as in JSON, in other brackets."""
    return f"{{{msgspec.json.encode(ids).decode()[1:-1]}}}"
