"""Importing beside bare COPY of the same rows into the same tables, with the same indexes, rules and triggers.

`python -m bench.imports 100000` measures on a server of its own and prints one line of JSON.
"""

import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psycopg
from sqlalchemy import make_url

import db.schema
import imports.calls
import imports.sample
import settings
from imports.calls import Call
from imports.summaries import Summary
from local.stack import Stack

CUSTOMERS = 100_000
SEED = 20_261_125
DATABASE = "bare"
BLOCK_BYTES = 1 << 20
# By table, in the order of their foreign keys. System wallets are in the other database already.
ROWS = {
    "customers": "SELECT * FROM customers",
    "wallets": "SELECT * FROM wallets WHERE customer_id IS NOT NULL",
    "legacy_ids": "SELECT * FROM legacy_ids",
    "transactions": "SELECT * FROM transactions",
    "entries": "SELECT * FROM entries",
}


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """`rows` are those of the files, customers and wallets."""

    customers: int
    rows: int
    seconds: float
    copy_seconds: float
    ratio_to_copy: float
    rows_per_second: int


def measure(customers: int = CUSTOMERS) -> Imported:
    """Import a sample into an empty database; then copy what is there into another empty one."""
    with tempfile.TemporaryDirectory(prefix="tekana-imports-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's account passes through it.
        imports.sample.write(folder / "files", customers, SEED)
        with Stack(folder / "data", {}) as stack:
            stack.start_servers()
            stack.migrate()
            summary = _imported(stack, folder / "files")
            copied = _copied(stack.database_url, folder)
    return Imported(
        customers=customers,
        rows=summary.rows,
        seconds=summary.seconds,
        copy_seconds=round(copied, 3),
        ratio_to_copy=round(summary.seconds / copied, 2),
        rows_per_second=summary.rows_per_second,
    )


def _imported(stack: Stack, files: Path) -> Summary:
    config = settings.read(stack.env)
    paths = [files / "customers.csv", files / "wallets.csv"]
    summary = imports.calls.run(Call(paths=paths), config, lambda _bytes, _rows: None)
    if summary.rejected or summary.differences:
        raise RuntimeError(f"the sample did not come over: {summary.rejected} rejected, {summary.differences}")
    return summary


def _copied(url: str, folder: Path) -> float:
    """Return the seconds that COPY takes for the same rows in another database of the server, one statement a table."""
    with _connected(url) as imported:
        for table, rows in ROWS.items():
            with (folder / table).open("wb") as file, imported.cursor().copy(f"COPY ({rows}) TO STDOUT") as copy:
                file.writelines(copy)
        imported.execute(f"CREATE DATABASE {DATABASE}")
        imported.execute("CHECKPOINT")
    bare_url = make_url(url).set(database=DATABASE).render_as_string(hide_password=False)
    db.schema.migrate(bare_url, [])
    with _connected(bare_url) as bare:
        began = time.monotonic()
        for table in ROWS:
            with (folder / table).open("rb") as file, bare.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                while block := file.read(BLOCK_BYTES):
                    copy.write(block)
        return time.monotonic() - began


def _connected(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else CUSTOMERS
    sys.stdout.write(msgspec.json.encode(measure(size)).decode() + "\n")
