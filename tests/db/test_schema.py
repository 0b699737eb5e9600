"""Migrations, and what they leave: the same schema as `db.tables`, rules, roles, system wallets."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Semaphore
from uuid import UUID

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

import db.audit
import db.chain
import db.schema
import db.tables
import db.wallets
from domain.jobs import JobState
from domain.money import CURRENCIES
from domain.wallets import SystemWallet, system_id
from local.stack import Stack
from tests import databases, made

BEFORE_WEBHOOKS = "2026_11_22_1000"
WITH_WEBHOOKS = "2026_11_23_0900"
BEFORE_CHAIN = "2026_11_26_0500"
BEFORE_CUSTOMERS_WERE_LOCKED = "2026_11_26_0910"
PAYMENTS_BEFORE, PAYMENTS_MAX = 20, 5_000  # Of two payers before and after, and of each.
PATIENCE_SECONDS = 20
DELIVERIES = 2  # What `fill` makes.
URLS = {"tekana_api": "DATABASE_API_URL", "tekana_worker": "DATABASE_WORKER_URL"}


@pytest.fixture
def url(servers: Stack) -> Iterator[str]:
    """An empty database that nothing has migrated."""
    with databases.empty(servers.database_url) as name:
        yield databases.on(servers.database_url, name)


@pytest.mark.parametrize("is_filled", [False, True], ids=["empty", "filled"])
def test_the_schema_goes_up_down_and_up_again(url: str, is_filled: bool) -> None:  # noqa: FBT001 - a row of two
    db.schema.migrate(url, [])
    if is_filled:
        fill(url)
    check_and_turn(url)
    db.schema.migrate(url, [])
    with databases.connected(url) as connection:
        command.check(db.schema.config(connection))


def test_each_step_up_is_made_with_rows_in_every_table_that_was_there_before(url: str) -> None:
    db.schema.migrate(url, [])
    fill(url)
    with databases.connected(url) as connection:
        steps = list(ScriptDirectory.from_config(db.schema.config(connection)).walk_revisions())
        for step in steps[:-1]:  # Below the first one there is no table.
            command.downgrade(db.schema.config(connection), str(step.down_revision))
            rows = connection.scalar(text("SELECT count(*) FROM jobs"))
            command.upgrade(db.schema.config(connection), "head")
            assert connection.scalar(text("SELECT count(*) FROM jobs")) == rows
            if str(step.down_revision) >= WITH_WEBHOOKS:
                assert connection.scalar(text("SELECT count(*) FROM webhook_deliveries")) == DELIVERIES


def fill(url: str) -> None:
    with databases.connected(url) as connection:
        made.transfer_between_two(connection)
        endpoint = made.endpoint(connection, made.api_key(connection))
        made.delivery(connection, endpoint)
        made.called_back(connection, made.api_key(connection))
        connection.commit()


def check_and_turn(url: str) -> None:
    with databases.connected(url) as connection:
        command.check(db.schema.config(connection))
        command.downgrade(db.schema.config(connection), "base")
        connection.commit()
        left = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        assert list(left) == ["alembic_version"]


def test_jobs_from_before_webhooks_come_through_their_migration_and_new_ends_are_told(url: str) -> None:
    db.schema.migrate(url, [])
    with databases.connected(url) as connection:
        made.ended(connection)
        command.downgrade(db.schema.config(connection), BEFORE_WEBHOOKS)
        made_before = connection.scalars(text("SELECT id FROM jobs")).all()
        command.upgrade(db.schema.config(connection), "head")
        assert connection.scalars(text("SELECT id FROM jobs")).all() == made_before
        assert connection.scalar(text("SELECT count(*) FROM events")) == 0
        made.ended(connection, state=JobState.CANCELED)
        assert connection.scalar(text("SELECT count(*) FROM events")) == 1


OUTDATED = {
    "nothing": "DELETE FROM alembic_version",
    "an older one": "UPDATE alembic_version SET version_num = '2026_11_22_1000'",
}


@pytest.mark.parametrize("change", OUTDATED.values(), ids=OUTDATED)
def test_a_release_can_tell_that_the_schema_is_too_old_for_it(url: str, change: str) -> None:
    with databases.connected(url) as connection:
        assert db.schema.is_behind(connection)
    db.schema.migrate(url, [])
    with databases.connected(url) as connection:
        assert not db.schema.is_behind(connection)
        connection.execute(text(change))
        assert db.schema.is_behind(connection)


def test_the_schema_of_a_later_release_is_not_too_old(url: str) -> None:
    db.schema.migrate(url, [])
    with databases.connected(url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_12_31_2359'"))
        assert not db.schema.is_behind(connection)


def test_a_migration_that_fails_leaves_those_before_it_which_the_next_try_does_not_repeat(url: str) -> None:
    with databases.connected(url) as connection:
        steps = list(ScriptDirectory.from_config(db.schema.config(connection)).walk_revisions())
        connection.execute(text("CREATE TABLE blocks (number bigint)"))  # As if somebody else had made it.
        connection.commit()
        with pytest.raises(DBAPIError):
            db.schema.migrate(url, [])
        assert db.schema.revisions(connection) == (BEFORE_CHAIN, steps[0].revision)
        assert connection.scalar(text("SELECT to_regclass('customer_velocity') IS NOT NULL"))
        connection.execute(text("DROP TABLE blocks"))
        connection.commit()
        db.schema.migrate(url, [])
        assert db.schema.revisions(connection) == (steps[0].revision, steps[0].revision)


def test_a_migration_waits_for_no_lock_for_long_nor_keeps_what_it_has_locked(url: str) -> None:
    with databases.connected(url) as connection, databases.connected(url) as reader:
        newest = ScriptDirectory.from_config(db.schema.config(connection)).get_current_head()
        db.schema.migrate(url, [])
        command.downgrade(db.schema.config(connection), BEFORE_CHAIN)
        connection.commit()
        reader.execute(text("SELECT count(*) FROM transactions"))
        with pytest.raises(OperationalError, match="lock timeout"):
            db.schema.migrate(url, [])
        assert connection.scalar(LOCKED) == 0
        reader.rollback()
        db.schema.migrate(url, [])
        connection.rollback()
        assert db.schema.revisions(connection) == (newest, newest)


LOCKED = text("""
    SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
     WHERE datname = current_database() AND mode = 'AccessExclusiveLock'
""")


def test_money_moves_while_the_schema_is_brought_up_to_date(url: str) -> None:
    """Those who move it name no column that is new: they do what the release before does, by one function more."""
    db.schema.migrate(url, [])
    with databases.connected(url) as connection:
        wallets = [made.wallet(connection) for _ in range(2)]
        for wallet in wallets:
            made.deposit(connection, wallet, 50_00)
        locking = connection.scalar(text("SELECT pg_get_functiondef('lock_wallets'::regproc)"))
        command.downgrade(db.schema.config(connection), BEFORE_CHAIN)
        connection.exec_driver_sql(locking)
        connection.commit()
    is_over, moved = Event(), Semaphore(0)
    with ThreadPoolExecutor(2) as threads:
        payers = [threads.submit(pay, url, (*pair,), is_over, moved) for pair in (wallets, reversed(wallets))]
        try:
            wait_for(moved)
            db.schema.migrate(url, [])
            wait_for(moved)
        finally:
            is_over.set()
        paid = sum(payer.result() for payer in payers)
    with databases.connected(url) as connection:
        while db.chain.extend(connection):
            connection.commit()
        assert db.chain.latest(connection).transactions == len(wallets) + paid
    found = [finding for _, findings in db.audit.verify(url, made.SEAL_KEY) for finding in findings]
    assert found == []


def pay(url: str, between: tuple[UUID, ...], is_over: Event, moved: Semaphore) -> int:
    """Move a franc, again and again; return how often."""
    source, destination = between
    paid = 0
    with databases.connected(url) as connection:
        while not is_over.is_set() and paid < PAYMENTS_MAX:
            made.transfer(connection, source, destination, 1)
            connection.commit()
            moved.release()
            paid += 1
    return paid


def wait_for(moved: Semaphore) -> None:
    for _ in range(PAYMENTS_BEFORE):
        assert moved.acquire(timeout=PATIENCE_SECONDS), "no money moves"


def test_customers_of_several_wallets_whom_nobody_noted_are_noted(url: str) -> None:
    db.schema.migrate(url, [])
    with databases.connected(url) as connection:
        customer = made.customer(connection)
        for _ in range(2):
            made.wallet(connection, customer)
        connection.execute(text("DELETE FROM customer_velocity"))
        command.downgrade(db.schema.config(connection), BEFORE_CUSTOMERS_WERE_LOCKED)
        connection.commit()
        db.schema.migrate(url, [])
        assert connection.scalars(text("SELECT customer_id FROM customer_velocity")).all() == [customer]


def test_migrating_twice_changes_nothing(url: str) -> None:
    db.schema.migrate(url, [])
    fill(url)
    db.schema.migrate(url, [])
    with databases.connected(url) as connection:
        assert connection.scalar(text("SELECT count(*) FROM transactions")) == 2


@pytest.mark.parametrize("catalogue", ["constraints", "indexes", "columns", "options"])
def test_the_tables_in_python_are_those_of_the_migrations(url: str, tx: Connection, catalogue: str) -> None:
    engine = create_engine(url)
    db.tables.metadata.create_all(engine)
    engine.dispose()
    with databases.connected(url) as declared:
        assert list(declared.execute(CATALOGUES[catalogue])) == list(tx.execute(CATALOGUES[catalogue]))


CATALOGUES = {
    "constraints": text("""
        SELECT CAST(CAST(conrelid AS regclass) AS text), conname, pg_get_constraintdef(pg_constraint.oid)
          FROM pg_constraint
          JOIN pg_class ON pg_class.oid = conrelid AND NOT relispartition
         WHERE connamespace = CAST('public' AS regnamespace) AND contype <> 'n'
           AND conrelid <> coalesce(to_regclass('alembic_version'), 0) ORDER BY 1, 2
    """),
    "indexes": text("""
        SELECT tablename, indexname, indexdef FROM pg_indexes
         WHERE schemaname = 'public' AND tablename <> 'alembic_version'
           AND tablename NOT IN (SELECT relname FROM pg_class WHERE relispartition) ORDER BY 1, 2
    """),
    "columns": text("""
        SELECT table_name, column_name, udt_name, is_nullable,
               regexp_replace(column_default, '^''([0-9]+)''::[a-z]+$', '\\1')
          FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name <> 'alembic_version'
           AND table_name NOT IN (SELECT relname FROM pg_class WHERE relispartition) ORDER BY 1, ordinal_position
    """),
    "options": text("""
        SELECT relname, reloptions FROM pg_class
         WHERE relnamespace = CAST('public' AS regnamespace) AND relkind IN ('r', 'p') AND relname <> 'alembic_version'
           AND NOT relispartition
         ORDER BY 1
    """),
}


def test_each_currency_has_its_system_wallets_from_the_beginning(tx: Connection) -> None:
    ids = set(tx.scalars(text("SELECT id FROM wallets WHERE customer_id IS NULL")))
    assert ids == {system_id(role, currency) for role in SystemWallet for currency in CURRENCIES}


@pytest.mark.parametrize("role", list(URLS))
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("synchronous_commit", "on"),
        ("timezone", "UTC"),
        ("lock_timeout", "3s"),
        ("statement_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("client_connection_check_interval", "1s"),
    ],
)
def test_a_role_brings_its_settings_along(servers: Stack, role: str, setting: str, expected: str) -> None:
    with databases.connected(servers.env[URLS[role]]) as connection:
        assert connection.scalar(text(f"SHOW {setting}")) == expected


def test_a_password_with_every_awkward_character_is_set_as_it_is(servers: Stack) -> None:
    given = make_url(servers.env["DATABASE_API_URL"])
    awkward = given.set(password="a'b\"c%d\\e:f@g/h$$ ä").render_as_string(hide_password=False)
    try:
        db.schema.migrate(servers.database_url, [awkward])
        with databases.connected(awkward) as connection:
            assert connection.scalar(text("SELECT current_user")) == "tekana_api"
    finally:
        db.schema.migrate(servers.database_url, [given.render_as_string(hide_password=False)])


def test_the_owner_is_not_turned_into_a_role(servers: Stack) -> None:
    db.schema.migrate(servers.database_url, [servers.database_url])
    with databases.connected(servers.database_url) as connection:
        assert connection.scalar(text("SHOW lock_timeout")) == "0"
