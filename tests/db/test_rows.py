import base64
import json
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from db.rows import encode
from domain.transactions import Movement
from tests.made import locked


def test_rows_are_read_by_name_with_their_bytes_in_base64() -> None:
    [row] = json.loads(encode([locked(UUID(int=1), balance=10**15, seal=b"\x00\xff")]))
    assert (row["id"], row["balance"]) == (str(UUID(int=1)), 10**15)
    assert base64.b64decode(row["seal"]) == b"\x00\xff"


@pytest.mark.parametrize("said", ["", "'", '"', "\\", "{}", "\n", ":name", "%s", "é💸", "\u2028", "$$", "NULL"])
def test_what_was_said_reaches_the_database_as_it_was_said(tx: Connection, said: str) -> None:
    rows = encode([Movement(amount=1, currency="RWF", description=said, metadata={said or "k": said})])
    read = text(
        "SELECT description, metadata"
        "  FROM json_to_recordset(CAST(:rows AS json)) AS read (description text, metadata jsonb)"
    )
    assert tuple(tx.execute(read, {"rows": rows}).one()) == (said, {said or "k": said})


def test_no_rows_are_an_empty_list() -> None:
    assert encode([]) == "[]"
