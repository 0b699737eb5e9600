"""COPY as we use it: values arrive as they are, and a refusal quotes none."""

import pytest
from sqlalchemy import Connection, text

from db.copy_rows import CopyConflict, CopyRefused, copy, escape
from settings import Settings
from tests.databases import connected

COLUMNS = "kind, legacy_id, id"
ID = "00000000-0000-7000-8000-000000000001"


@pytest.mark.parametrize("value", ["plain", "back\\slash", "\\N", "\\t", "ünï'\""])
def test_a_value_arrives_as_it_is(tx: Connection, value: str) -> None:
    copy(tx, "legacy_ids", COLUMNS, [f"wallet\t{escape(value)}\t{ID}\n"])
    assert tx.scalar(text("SELECT legacy_id FROM legacy_ids")) == value


def test_nothing_is_null() -> None:
    assert escape(None) == r"\N"


@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        ([f"wallet\tprivate\t{ID}\n"] * 2, CopyConflict),
        ([f"private\tprivate\t{ID}\n"], CopyRefused),
        (["wallet\tprivate\tprivate\n"], CopyRefused),
        (["wallet\tprivate\t\\N\n"], CopyRefused),
    ],
)
def test_a_refusal_says_the_rule_and_quotes_no_row(
    tx: Connection, lines: list[str], refusal: type[CopyRefused]
) -> None:
    with pytest.raises(refusal) as refused:
        copy(tx, "legacy_ids", COLUMNS, lines)
    assert str(refused.value).startswith("legacy_ids: ")
    assert "private" not in str(refused.value)


def test_who_waits_too_long_for_another_transaction_may_come_again(fresh: Settings) -> None:
    row = f"wallet\tone\t{ID}\n"
    with connected(fresh.database_url) as first, connected(fresh.database_url) as second:
        copy(first, "legacy_ids", COLUMNS, [row])
        second.execute(text("SET LOCAL lock_timeout = '10ms'"))
        with pytest.raises(CopyConflict):
            copy(second, "legacy_ids", COLUMNS, [row])
