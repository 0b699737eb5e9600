"""Statements are told of by operation and table, and their text has no values in it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import db.statements
from db.engine import transaction
from settings import Settings

SECRET = "planted-value"

Told = list[tuple[str, str, BaseException | None]]


@pytest.fixture
def told() -> Iterator[Told]:
    """The statements that have ended: summary, text, and the error."""
    found: Told = []

    def begin(summary: str, statement: str) -> db.statements.End:
        return lambda error: found.append((summary, statement, error))

    db.statements.listen(begin)
    yield found
    db.statements.ignore(begin)


@pytest.mark.parametrize(
    ("statement", "summary"),
    [
        ("SELECT 1", "SELECT"),
        ("SELECT id FROM jobs WHERE id = 1", "SELECT jobs"),
        ("\n    INSERT INTO jobs (id)\n    SELECT id FROM staged", "INSERT jobs"),
        ("UPDATE wallets SET balance = 1", "UPDATE wallets"),
        ("DELETE FROM leases WHERE id = 1", "DELETE leases"),
        ("WITH head AS (SELECT attempts FROM jobs) SELECT id FROM wallets", "SELECT jobs"),
        ("WITH a AS (SELECT 1 FROM b FOR UPDATE SKIP LOCKED), c AS (UPDATE d SET e = 1) SELECT 2", "UPDATE d"),
        ("SELECT id FROM wallets WHERE id = 1 FOR NO KEY UPDATE OF wallets", "SELECT wallets"),
        ("SET LOCAL synchronous_commit = off", "SQL"),
    ],
)
def test_a_statement_is_known_by_its_operation_and_table(statement: str, summary: str) -> None:
    assert db.statements.summary(statement) == summary


def test_a_statement_is_told_of_without_its_values(configured: Settings, told: Told) -> None:
    with transaction(configured.database_url) as tx:
        tx.execute(text("SELECT id FROM jobs WHERE caller = :caller"), {"caller": SECRET})
    [(summary, statement, error)] = told
    assert (summary, error) == ("SELECT jobs", None)
    assert "caller = " in statement
    assert SECRET not in statement


def test_a_statement_that_fails_is_told_of_with_its_error(configured: Settings, told: Told) -> None:
    with pytest.raises(DBAPIError) as caught, transaction(configured.database_url) as tx:
        tx.execute(text("SELECT CAST(:value AS int)"), {"value": SECRET})
    assert [error for _, _, error in told] == [caught.value.orig]


def test_whoever_is_not_interested_in_a_statement_hears_nothing_of_its_end(configured: Settings) -> None:
    asked = []

    def begin(summary: str, _: str) -> None:
        asked.append(summary)

    db.statements.listen(begin)
    try:
        with transaction(configured.database_url) as tx:
            tx.execute(text("SELECT 1"))
    finally:
        db.statements.ignore(begin)
    with transaction(configured.database_url) as tx:
        tx.execute(text("SELECT 2"))
    assert asked == ["SELECT"]
