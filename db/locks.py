"""Locks: who may do what only one process should, and rows that somebody else holds."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

SWEEP = 7_242_632
NOT_AVAILABLE = "55P03"  # `lock_timeout` is over (PostgreSQL's appendix A).

T = TypeVar("T")


def try_sweep(connection: Connection) -> bool:
    """Become the one sweeper until this transaction ends; False while another one is."""
    return bool(connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": SWEEP}))


def unless_held(connection: Connection, lock: Callable[[], T]) -> T | None:
    """Return what `lock` does; None, and nothing of it, if somebody holds a row for longer than `lock_timeout`."""
    try:
        with connection.begin_nested():
            return lock()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != NOT_AVAILABLE:
            raise
    return None
