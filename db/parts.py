"""A table read by as many processes as there are cores, all on the snapshot of the connection that asks."""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, create_engine, text

from db.engine import connect_args

ALONE_MAX = 200_000  # Rows that one process looks at, about a second: another one takes that long to begin.
ROWS_AT_ONCE = 5_000
WORK_MEM = "256MB"  # Of each process: its half of ten million entries is sorted in a few runs.
FIRST = "00000000-0000-0000-0000-000000000000"

Found = TypeVar("Found")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A range of ids, from `start` up to and without `end` (None: all that follow)."""

    start: str = FIRST
    end: str | None = None


Search: TypeAlias = Callable[[Connection, Part], list[Found]]


def look(connection: Connection, searches: Mapping[str, Search[Found]]) -> list[Found]:
    """Return what each search finds in the parts of its table; they go to other processes, unless all are small."""
    sizes = {table: rows_about(connection, table) for table in searches}
    if max(sizes.values()) <= ALONE_MAX:
        return [one for search in searches.values() for one in search(connection, Part())]
    url, snapshot = connection.engine.url.render_as_string(hide_password=False), export(connection)
    count = os.cpu_count() or 1
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as processes:
        running = [
            processes.submit(_search, url, snapshot, search, part)
            for table, search in searches.items()
            for part in _parts(connection, table, sizes[table], count)
        ]
        return [one for ended in running for one in ended.result()]


def rows_about(connection: Connection, table: str) -> int:
    """Return how many rows a table had when it was last analyzed; 0 if it never was."""
    return int(connection.scalar(SIZE, {"table": table}))


SIZE = text("SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = CAST(:table AS regclass)")


def _parts(connection: Connection, table: str, size: int, count: int) -> list[Part]:
    """Divide a table by its ids; its size is an estimate, so that a part may be larger, and none is left out."""
    statement = text(f"SELECT CAST(id AS text) FROM {table} ORDER BY {table}.id OFFSET :offset LIMIT 1")  # noqa: S608 - a name of ours
    ids = [connection.scalar(statement, {"offset": size * part // count}) for part in range(1, count)]
    bounds = [FIRST, *filter(None, ids), None]
    return [Part(start=start or FIRST, end=end) for start, end in pairwise(bounds)]


def _search(url: str, snapshot: str, search: Search[Found], part: Part) -> list[Found]:
    engine = create_engine(url, isolation_level="REPEATABLE READ", connect_args=connect_args())
    with beside(engine, snapshot) as connection:
        found = search(connection, part)
    engine.dispose()
    return found


def export(connection: Connection) -> str:
    """Return the name of what this transaction sees, for others while it lasts."""
    return str(connection.scalar(text("SELECT pg_export_snapshot()")))


@contextlib.contextmanager
def beside(engine: Engine, snapshot: str) -> Iterator[Connection]:
    """Begin a transaction that sees an exported snapshot, and reads whole tables."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        expect_whole_tables(connection)
        yield connection


def expect_whole_tables(connection: Connection) -> None:
    """Let the queries of this transaction hash and sort in memory."""
    connection.exec_driver_sql(f"SET LOCAL work_mem = '{WORK_MEM}'")
    connection.exec_driver_sql("SET LOCAL enable_nestloop = off")


def rows(connection: Connection, cursor_name: str, statement: str, part: Part) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a part as they arrive, through a cursor whose name no other has at the time."""
    driver: Any = connection.connection.driver_connection
    connection.exec_driver_sql("SET LOCAL cursor_tuple_fraction = 1")  # They will all be fetched.
    with driver.cursor(name=cursor_name, binary=True) as cursor:
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(statement, {"start": part.start, "end": part.end})
        yield from cursor
