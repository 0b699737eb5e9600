"""COPY: rows into a table at the price of the table's own indexes and rules."""

from collections.abc import Iterable

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from db.errors import said

NULL = r"\N"


class CopyRefused(SQLAlchemyError):
    """A table refused the rows. The message quotes none of them."""


class CopyConflict(CopyRefused):
    """Another transaction came first, or in the way: read again and the rules see what it did."""


CONFLICTS = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
)


def copy(connection: Connection, table: str, columns: str, lines: Iterable[str]) -> None:
    """Write lines of COPY's text format (tabs between values, which `escape` made safe).

    Raises:
        CopyRefused: a rule of the table is broken; CopyConflict, when another transaction is why.

    """
    raw = connection.connection.driver_connection
    if raw is None:
        raise CopyRefused("the connection is gone")
    try:
        with raw.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as target:
            target.write("".join(lines))
    except psycopg.Error as error:
        refused = CopyConflict if isinstance(error, CONFLICTS) else CopyRefused
        raise refused(f"{table}: {said(error) or 'the connection was lost'}") from None


def escape(text: str | None) -> str:
    """Return the text as a value of a line. It has no control characters: nobody's name has."""
    if text is None:
        return NULL
    return text.replace("\\", "\\\\") if "\\" in text else text
