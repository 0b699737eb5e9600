"""COPY: rows into a table at the price of the table's own indexes and rules."""

from collections.abc import Iterable

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

NULL = r"\N"


class CopyRefused(SQLAlchemyError):
    """A table refused the rows. The message quotes none of them."""


class CopyConflict(CopyRefused):
    """Another transaction took a unique value first: read again and the rules see it."""


def copy(connection: Connection, table: str, columns: str, lines: Iterable[str]) -> None:
    """Write lines of COPY's text format (tabs between values, which `escape` made safe).

    Raises:
        CopyRefused: a rule of the table is broken; CopyConflict, when it is a unique one.

    """
    raw = connection.connection.driver_connection
    if raw is None:
        raise CopyRefused("the connection is gone")
    try:
        with raw.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as target:
            target.write("".join(lines))
    except psycopg.errors.UniqueViolation as error:
        raise CopyConflict(f"{table}: {error.diag.message_primary}") from None
    except psycopg.Error as error:
        raise CopyRefused(f"{table}: {error.diag.message_primary or 'the connection was lost'}") from None


def escape(text: str | None) -> str:
    """Return the text as a value of a line. It has no control characters: nobody's name has."""
    if text is None:
        return NULL
    return text.replace("\\", "\\\\") if "\\" in text else text
