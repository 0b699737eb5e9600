"""Errors of the database, as logs and Flower see them: which rule was broken, and nothing of the row."""

import asyncio
import traceback

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from db.async_engine import AsyncTransactions
from db.engine import transaction
from settings import Settings

SECRET = "planted-value"
BROKEN = f"first line\nHINT:  {SECRET}\n[SQL: {SECRET}\n\nlast line of {SECRET}"  # Imitates what comes after a row.

ERRORS = {
    "unique": (
        (
            "INSERT INTO api_keys (id, name, digest, scopes)"
            " SELECT gen_random_uuid(), 'n', CAST(:value AS bytea), '{}' FROM generate_series(1, 2)"
        ),
        'violates unique constraint "api_keys_digest_unique"',
    ),
    "check": (
        (
            "INSERT INTO customers (id, full_name, email, national_id_sealed, national_id_index, password_hash)"
            " VALUES (gen_random_uuid(), :value, 'UPPER', '', '', '')"
        ),
        'violates check constraint "customers_email_lower"',
    ),
    "no number": ("SELECT CAST(CAST(:value AS text) AS int)", "a value was refused (SQLSTATE 22P02)"),
    "no JSON": ("SELECT CAST(CAST(:value AS text) AS json)", "a value was refused (SQLSTATE 22P02)"),
}


@pytest.mark.parametrize(("statement", "said"), ERRORS.values(), ids=list(ERRORS))
@pytest.mark.parametrize("value", [SECRET, BROKEN], ids=["a line", "many lines"])
def test_an_error_names_the_rule_and_quotes_no_value(
    configured: Settings, *, statement: str, said: str, value: str
) -> None:
    with pytest.raises(DBAPIError) as caught, transaction(configured.database_url) as tx:
        tx.execute(text(statement), {"value": value})

    shown = "".join(traceback.format_exception(caught.value))
    assert said in str(caught.value)
    assert SECRET not in shown + repr(caught.value) + repr(caught.value.orig)


def test_an_error_of_the_api_quotes_no_value_either(configured: Settings) -> None:
    statement, said = ERRORS["no number"]

    def refused(connection: Connection) -> None:
        connection.execute(text(statement), {"value": BROKEN})

    async def ask() -> None:
        database = AsyncTransactions(configured.database_api_url, connections=1)
        try:
            await database.run(refused)
        finally:
            await database.close()

    with pytest.raises(DBAPIError) as caught:
        asyncio.run(ask())
    assert said in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_whoever_needs_the_constraint_still_finds_it(configured: Settings) -> None:
    statement, _ = ERRORS["unique"]
    with pytest.raises(DBAPIError) as caught, transaction(configured.database_url) as tx:
        tx.execute(text(statement), {"value": SECRET})
    assert isinstance(caught.value.orig, psycopg.Error)
    assert caught.value.orig.diag.constraint_name == "api_keys_digest_unique"
