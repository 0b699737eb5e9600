"""Connections. The functions of this package take a sync `Connection` first and never commit: the edge does.

Workers open transactions with `transaction`; the async API runs the same functions by `db.async_engine`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import SQLAlchemyError as DatabaseError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db.errors import attend_to_errors
from settings import settings

__all__ = [
    "Connection",
    "DatabaseError",
    "Unanswered",
    "autocommit",
    "connect_args",
    "engine",
    "is_conflict",
    "is_retryable",
    "is_unavailable",
    "ping",
    "transaction",
]

POOL_TIMEOUT_SECONDS = 5  # Waiting longer for a connection only moves the queue out of sight.
CONNECT_TIMEOUT_SECONDS = 3
# Serialization failure, deadlock, lock timeout: the same transaction passes on another try.
RETRYABLE = frozenset({"40001", "40P01", "55P03"})
# A server that dies without a word is noticed after this long; keepalives find idle connections.
CONNECT_ARGS: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


@lru_cache(maxsize=4)
def engine(url: str) -> Engine:
    """Return the engine of a process that works one transaction at a time (plus a lease beside it)."""
    return attend_to_errors(create_engine(url, **pooled(2)))


def pooled(connections: int) -> dict[str, Any]:
    """Return the options of an engine that keeps so many connections, and opens no more."""
    return {
        "pool_size": connections,
        "max_overflow": 0,
        "pool_use_lifo": True,  # The server's process that worked last has all that it needs in the processor's caches.
        "pool_timeout": POOL_TIMEOUT_SECONDS,
        "connect_args": connect_args(),
        "hide_parameters": True,  # Errors are logged; what callers sent is not.
    }


def connect_args() -> dict[str, Any]:
    """Return what every connection is opened with.

    psycopg prepares on the server what it has sent five times; the next transaction may meet another server process.
    """
    return CONNECT_ARGS if settings().database_prepared_statements else CONNECT_ARGS | {"prepare_threshold": None}


@contextmanager
def autocommit(url: str) -> Iterator[Connection]:
    """Open a connection each statement of which is a transaction of its own, in one round trip and not in three."""
    with engine(url).connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """Open one unit of work: committed at the end, rolled back by an exception."""
    with engine(url).begin() as connection:
        yield connection


class Unanswered(TimeoutError):
    """The database did not answer in time."""


def is_retryable(error: BaseException) -> bool:
    """Whether the same transaction may pass when it is tried again at once."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in RETRYABLE


def is_conflict(error: BaseException) -> bool:
    """Whether another transaction took a unique value first: read again and the rules see it."""
    return isinstance(error, IntegrityError) and getattr(error.orig, "sqlstate", None) == "23505"


def is_unavailable(error: BaseException) -> bool:
    """Whether the database could not be reached, or was lost on the way: the outcome is unknown."""
    if isinstance(error, (PoolTimeout, Unanswered)):
        return True
    return isinstance(error, DBAPIError) and (error.connection_invalidated or _is_operational(error))


def _is_operational(error: DBAPIError) -> bool:
    state: Any = getattr(error.orig, "sqlstate", None)
    # 08: connection, 53: out of resources, 57: operator intervention (shutting down, starting up).
    return state is None or str(state)[:2] in {"08", "53", "57"}


def ping(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))
