"""An import that is killed at any moment, again and again: nothing is missing, nothing doubled.

With IMPORT_KILLS=10 and IMPORT_CUSTOMERS=100000 in the environment it is the long run, which is done by hand.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

import db.audit
import db.engine
import imports.sample
import settings
from db.engine import transaction
from local.stack import Stack
from settings import Settings
from tests import databases

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("IMPORT_KILLS", "3"))
CUSTOMERS = int(os.environ.get("IMPORT_CUSTOMERS", "800"))
BATCH_ROWS = max(20, CUSTOMERS // 200)
BAD = "W0,nobody,RWF,1,2019-03-04T05:06:07Z,,,\n"
SECONDS_MAX = 600.0
LOOK_SECONDS = 0.01
DONE = text("SELECT coalesce(sum(row_number - 1), 0) FROM imports")


@pytest.fixture
def env(servers: Stack) -> Iterator[dict[str, str]]:
    with databases.copied(servers.env) as environment:
        yield dict(os.environ) | environment
        db.engine.engine(environment["DATABASE_URL"]).dispose()


def test_an_import_that_is_killed_goes_on_where_it_stood(env: dict[str, str], tmp_path: Path) -> None:
    totals = imports.sample.write(tmp_path, CUSTOMERS, seed=5)
    with (tmp_path / "wallets.csv").open("a", encoding="utf-8") as file:
        file.write(BAD)
    config = settings.read(env)
    rows = CUSTOMERS + sum(held.wallets for held in totals.currencies.values())
    chance = random.Random()  # noqa: S311 - any moment will do
    for moment in sorted(chance.uniform(0, 0.95) for _ in range(KILLS)):
        kill_at(config, env, tmp_path, int(rows * moment))
    ended = started(env, tmp_path)
    out, said = ended.communicate(timeout=SECONDS_MAX)
    assert ended.returncode == 1, said  # One row is bad.
    assert json.loads(out)["after"] == {"customers": totals.customers, "currencies": sums(config)}
    assert (tmp_path / "wallets.rejects.csv").read_text(encoding="utf-8").count("\n") == 2
    assert sums(config) == msgspec.to_builtins(totals.currencies)
    audited = db.audit.verify(config.database_url, config.seal_key.encode())
    assert [finding for _, found in audited for finding in found] == []


def kill_at(config: Settings, env: dict[str, str], folder: Path, rows: int) -> None:
    """Kill the import when it has done so many rows, or is done."""
    running = started(env, folder)
    deadline = time.monotonic() + SECONDS_MAX
    while running.poll() is None and done(config) <= rows:
        assert time.monotonic() < deadline
        time.sleep(LOOK_SECONDS)
    running.kill()
    running.communicate()


def started(env: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    files = [folder / "wallets.csv", folder / "customers.csv"]
    command = [sys.executable, "-m", "cli", "import", "run", f"--batch-rows={BATCH_ROWS}", *map(str, files)]
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def done(config: Settings) -> int:
    with transaction(config.database_url) as tx:
        return int(tx.execute(DONE).scalar_one())


def sums(config: Settings) -> dict[str, dict[str, int]]:
    """Return what customers' wallets hold: their balances, not their openings."""
    query = text(
        "SELECT currency, count(*) AS wallets, sum(balance) AS balance FROM wallets"
        " WHERE customer_id IS NOT NULL GROUP BY currency"
    )
    with transaction(config.database_url) as tx:
        rows = tx.execute(query).all()
    return {row.currency: {"wallets": row.wallets, "balance_minor": int(row.balance)} for row in rows}
