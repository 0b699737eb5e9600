"""A ledger that has grown: customers, wallets, entries, and the jobs and events that they came of, in minutes.

`fill` may be called again on the same database: each call adds. The audit finds nothing wrong with what it leaves.
Indexes are taken away and built anew at the end, so that whoever interrupts it begins again with an empty database.
"""

import multiprocessing
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import click
import psycopg
from sqlalchemy import create_engine

import db.chain
from bench import indexes, shards
from bench.histories import HISTORIES
from bench.lines import CASH_IN, FOLDED
from bench.shards import REPLICA, Shard
from settings import require, settings

SPAN = timedelta(days=60)  # Over which the movements are spread, up to an hour ago.
SIDES = 2  # Entries of a transaction.
CUSTOMERS_MIN = 2  # Of a share: its wallets pay each other.
TABLES = ["customers", "wallets", "transactions", "entries", "jobs", "events"]
INDEX_MEMORY = "256MB"  # Of each session that builds indexes, two at a time.


class TooFew(ValueError):
    """Every customer needs a wallet, every wallet a transaction that funds it, and somebody to pay: two at least."""


def fill(url: str, *, customers: int, wallets: int, entries: int, seal_key: bytes) -> None:
    """Add so many rows to a migrated database, as its owner, who must be a superuser.

    Raises:
        TooFew: there are not as many wallets as customers, not two entries a wallet, or less than two customers.

    """
    if not CUSTOMERS_MIN <= customers <= wallets <= entries // SIDES:
        raise TooFew(f"customers={customers}, wallets={wallets}, entries={entries}: {TooFew.__doc__}")
    address = url.replace("+psycopg", "")
    with psycopg.connect(address, options=REPLICA, autocommit=True) as owner:
        rebuild = indexes.take_away(owner, TABLES)
        paid_in = _move(_shares(owner, address, seal_key, (customers, wallets, entries // SIDES)))
        owner.execute(FOLD, (paid_in, CASH_IN))
        owner.execute("ANALYZE customers, wallets, transactions")
    _side_by_side(
        address,
        HISTORIES,
        [*rebuild["entries"], *rebuild["transactions"], *rebuild["customers"], *rebuild["wallets"]],
    )
    _side_by_side(address, rebuild["jobs"], rebuild["events"])
    _side_by_side(
        address, ["VACUUM ANALYZE jobs, events"], ["VACUUM ANALYZE customers, wallets, transactions, entries"]
    )
    _chain(url)


def _chain(url: str) -> None:
    """Seal what was posted, or a worker would do so while others measure."""
    owner = create_engine(url)
    added = 1
    while added:
        with owner.begin() as connection:
            added = db.chain.extend(connection)
    owner.dispose()


def _shares(owner: psycopg.Connection, url: str, seal_key: bytes, rows: tuple[int, int, int]) -> list[Shard]:
    """Divide the rows among as many processes as there are cores: each customer's wallets stay together."""
    since = datetime.now(UTC) - SPAN - timedelta(hours=1)
    processes = min(os.cpu_count() or 1, rows[0] // CUSTOMERS_MIN)
    return [
        Shard(
            url=url,
            seal_key=seal_key,
            customers=customers,
            wallets=wallets,
            transactions=transactions,
            first_number=_take(owner, "wallet_numbers", wallets),
            first_entry=_take(owner, "system_entries", wallets),
            since=since,
            span=SPAN,
            seed=uuid4().int,
        )
        for customers, wallets, transactions in zip(*(_divided(count, processes) for count in rows), strict=True)
    ]


def _divided(count: int, parts: int) -> list[int]:
    return [count // parts + (part < count % parts) for part in range(parts)]


def _take(owner: psycopg.Connection, sequence: str, count: int) -> int:
    """Take `count` numbers of a sequence; return the first."""
    row = owner.execute(f"SELECT setval('{sequence}', nextval('{sequence}') + {count})").fetchone()
    return int(row[0]) - count if row else 0


def _move(shares: Sequence[Shard]) -> int:
    """Make the shares at once; return what was paid in."""
    with ProcessPoolExecutor(len(shares), multiprocessing.get_context("spawn")) as processes:
        return sum(processes.map(shards.make, shares))


def _side_by_side(address: str, *scripts: Iterable[str]) -> None:
    with ThreadPoolExecutor(len(scripts)) as sessions:
        list(sessions.map(lambda script: _run(address, script), scripts))


def _run(address: str, script: Iterable[str]) -> None:
    with psycopg.connect(address, options=REPLICA, autocommit=True) as session:
        session.execute(f"SET maintenance_work_mem = '{INDEX_MEMORY}'")
        session.execute(f"SET work_mem = '{INDEX_MEMORY}'")
        for statement in script:
            session.execute(statement)


# What was posted before any number that is compared with it counts as folded.
FOLD = f"""
    UPDATE wallets SET balance = balance - %s, folded_before = greatest(folded_before, {FOLDED + 1})
     WHERE id = %s
"""  # noqa: S608 - a constant


@click.command()
@click.option("--customers", default=1_000_000, show_default=True)
@click.option("--wallets", default=1_200_000, show_default=True)
@click.option("--entries", default=10_000_000, show_default=True)
def main(*, customers: int, wallets: int, entries: int) -> None:
    """Fill the database of DATABASE_URL."""
    config = settings()
    require(config, "database_url", "seal_key")
    seal_key = config.seal_key.encode()
    fill(config.database_url, customers=customers, wallets=wallets, entries=entries, seal_key=seal_key)


if __name__ == "__main__":
    main()
