"""A dump that is restored into another server: its transactions are numbered above what that server gives out."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import db.audit
import db.transactions
from local import account
from local.stack import Stack
from tests.conftest import environment, reachable_folder
from tests.flows.world import World, transfer
from tests.operations.scripts import ROOT, at, plain
from tests.operations.seen import end_of_feed, feed, query
from tests.operations.worlds import moved, running

ROLES = "CREATE ROLE tekana_api; CREATE ROLE tekana_worker"
USED = "DO $$ BEGIN FOR turn IN 1..100000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"

NOT_FOLDED = """
    SELECT count(*) FROM wallets
     WHERE customer_id IS NULL
       AND balance <> (SELECT coalesce(sum(amount), 0) FROM entries WHERE wallet_id = wallets.id)
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running() as world:
        yield world


@pytest.fixture(scope="module")
def other() -> Iterator[Stack]:
    """A server that has given out few numbers yet."""
    with reachable_folder() as folder, Stack(folder, environment()) as stack:
        stack.start_servers()
        yield stack


def program(stack: Stack, name: str, *arguments: str | Path) -> None:
    """Run one of PostgreSQL's programs."""
    folder = account.postgres_folder(stack.kept, lambda _: None)
    subprocess.run([str(folder / name), *map(str, arguments)], check=True, capture_output=True)


def test_the_audit_names_it_and_once_numbers_are_raised_nothing_new_is_hidden(
    world: World, other: Stack, tmp_path: Path
) -> None:
    used(world)
    world.settled("/v1/transfers", transfer(world.wallets[0], world.wallets[1], 1))
    cursor, dump = end_of_feed(world), tmp_path / "dump"
    program(other, "pg_dump", "--format=custom", f"--file={dump}", plain(world.stack.database_url))
    program(other, "psql", "--command", ROLES, plain(other.database_url))
    program(other, "pg_restore", "--exit-on-error", "--dbname", plain(other.database_url), dump)
    key = world.stack.env["SEAL_KEY"].encode()
    assert broken(other.database_url, key) == ["I11 transactions are of this server"]
    numbers = ROOT / "deploy" / "backup" / "raise-transaction-ids.sql"
    program(other, "psql", "--set", "ON_ERROR_STOP=1", "--file", numbers, plain(other.database_url))
    assert broken(other.database_url, key) == []
    with moved(world, at(world.stack.env, other.database_url) | {"DATABASE_URL": other.database_url}) as there:
        done = there.settled("/v1/transfers", transfer(world.wallets[0], world.wallets[1], 7))
        assert done.id in {event["data"]["id"] for event in feed(there, cursor)}
        with there.tx() as tx:
            db.transactions.fold_system_wallets(tx)
        assert query(other.database_url, NOT_FOLDED) == 0


def used(world: World) -> None:
    """Let the first server have given out many numbers, as after a year."""
    with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(USED)


def broken(database_url: str, seal_key: bytes) -> list[str]:
    return [name for name, found in db.audit.verify(database_url, seal_key) if found]
