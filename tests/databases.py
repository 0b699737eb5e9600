"""Databases of a test's own: migrated and empty, on the server that all tests share."""

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from functools import lru_cache
from typing import Any
from uuid import uuid4

import psycopg.errors
import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

import db.schema

URLS = ("DATABASE_URL", "DATABASE_API_URL", "DATABASE_WORKER_URL")


@contextlib.contextmanager
def copied(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield `environment` with a migrated and empty database in the place of the shared one."""
    with empty(environment["DATABASE_URL"], template=_template(environment["DATABASE_URL"])) as name:
        yield dict(environment) | {variable: on(environment[variable], name) for variable in URLS}


@contextlib.contextmanager
def empty(server_url: str, template: str = "template1") -> Iterator[str]:
    """Create a database; yield its name, and drop it at the end."""
    name = f"tekana_{uuid4().hex}"
    _administer(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield name
    finally:
        _administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def forgo_syncs(server_url: str) -> None:
    """Let the server leave to the kernel when to write: it keeps what it was given when it is killed, and power stays.

    A database is hundreds of files, each synced as it is made; on a busy disk that takes seconds.
    """
    _set(server_url, "fsync = off")


def forgo_vacuums(server_url: str) -> None:
    """Let the server count rows when a test says so, and no transaction of its own hold up what tests look for."""
    _set(server_url, "autovacuum = off")


def _set(server_url: str, setting: str) -> None:
    _administer(server_url, f"ALTER SYSTEM SET {setting}")
    _administer(server_url, "SELECT pg_reload_conf()")


def on(url: str, name: str) -> str:
    """Return `url` with another database's name."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


@contextlib.contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Open a connection whose transaction is rolled back unless the test commits it."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextlib.contextmanager
def refused_by(constraint: str) -> Iterator[None]:
    """Expect the database to refuse, by the constraint of this name."""
    with pytest.raises(DBAPIError) as caught:
        yield
    error = caught.value.orig
    assert isinstance(error, psycopg.Error)
    assert error.diag.constraint_name == constraint


@contextlib.contextmanager
def forbidden() -> Iterator[None]:
    """Expect the database to refuse for want of a privilege."""
    with pytest.raises(DBAPIError) as caught:
        yield
    assert isinstance(caught.value.orig, psycopg.errors.InsufficientPrivilege)


def server_process(tx: Connection) -> int:
    """Return the process id of the PostgreSQL backend that serves this connection."""
    return int(tx.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def wait_until_blocked(watcher: Connection, waiting: Future[Any]) -> None:
    """Return once a connection of the watcher's database waits for a lock."""
    while not watcher.scalar(BLOCKED):
        assert not waiting.done(), "it did not wait"
        watcher.rollback()
    watcher.rollback()


BLOCKED = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


@lru_cache(maxsize=1)
def _template(server_url: str) -> str:
    """Migrate a database once, for others to be copied from it; it goes with its server."""
    name = "tekana_template"
    _administer(server_url, f"CREATE DATABASE {name}")
    db.schema.migrate(on(server_url, name), [])
    return name


def _administer(server_url: str, statement: str) -> None:
    engine = create_engine(on(server_url, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
