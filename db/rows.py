"""Rows for a set-based statement: one JSON parameter, which PostgreSQL reads with `json_to_recordset`.

Arrays for `unnest`, a parameter for each column, cost Python four times as much (decision 7).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


def encode(rows: Sequence[msgspec.Struct | Mapping[str, Any]]) -> str:
    """Return the rows as JSON: fields by name, bytes in base64."""
    return msgspec.json.encode(rows).decode()
