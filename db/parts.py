"""A table read by as many processes as there are cores, all on the snapshot of the connection that asks."""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, create_engine, text

from db.engine import connect_args

ALONE_MAX = 200_000  # Rows that one process looks at, about a second: another one takes that long to begin.
SAMPLE_ROWS = 30_000  # Takes 10 ms, and parts differ by a few hundredths, unless one id has more rows than a part.
ROWS_AT_ONCE = 5_000
WORK_MEM = "256MB"  # Of each process: its half of ten million entries is sorted in a few runs.
FIRST = "00000000-0000-0000-0000-000000000000"

Found = TypeVar("Found")


class Divisible(NamedTuple):
    """A table, and the column of ids that divides it: all rows of an id are in one part."""

    table: str
    by: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A range of ids, from `start` up to and without `end` (None: all that follow)."""

    start: str = FIRST
    end: str | None = None


Search: TypeAlias = Callable[[Connection, Part], list[Found]]


def look(connection: Connection, searches: Mapping[Divisible, Search[Found]]) -> list[Found]:
    """Return what each search finds in the parts of its table; they go to other processes, unless all are small."""
    sizes = {one: rows_about(connection, one.table) for one in searches}
    if max(sizes.values()) <= ALONE_MAX:
        return [found for search in searches.values() for found in search(connection, Part())]
    url, snapshot = connection.engine.url.render_as_string(hide_password=False), export(connection)
    count = os.cpu_count() or 1
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as processes:
        running = [
            processes.submit(_search, url, snapshot, search, part)
            for one, search in searches.items()
            for part in divide(connection, one, sizes[one], count)
        ]
        return [found for ended in running for found in ended.result()]


def rows_about(connection: Connection, table: str) -> int:
    """Return how many rows a table had when it was last analyzed; 0 if it never was."""
    return int(connection.scalar(SIZE, {"table": table}))


SIZE = text("SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = CAST(:table AS regclass)")


def divide(connection: Connection, rows: Divisible, size: int, count: int) -> list[Part]:
    """Divide a table into parts of about as many rows: they are estimates of a sample, and no row is left out."""
    statement = text(f"""
        SELECT CAST(percentile_disc(CAST(:shares AS float8[])) WITHIN GROUP (ORDER BY {rows.by}) AS text[])
          FROM {rows.table} TABLESAMPLE SYSTEM (least(100, 100.0 * {SAMPLE_ROWS} / :size))
    """)  # noqa: S608 - names of ours
    shares = [part / count for part in range(1, count)]
    ids = connection.scalar(statement, {"shares": shares, "size": max(size, 1)}) or []
    bounds = [FIRST, *sorted({one for one in ids if one}), None]
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
        connection.exec_driver_sql("SET LOCAL max_parallel_workers_per_gather = 0")  # Others have work for the cores.
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
