"""Every table by every kind of statement, as each role: what passes is what is written here, and nothing else.

The tables, columns, sequences and functions come from the catalogue: a new one fails until somebody has said here who
may do what with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg.errors
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

Rights = Mapping[str, str]  # By kind of statement, the columns it may name; EVERY one, or the table as a whole.

EVERY = "*"
READ = {"SELECT": EVERY}
KEEP = {"SELECT": EVERY, "INSERT": EVERY, "UPDATE": EVERY, "SELECT FOR UPDATE": EVERY}  # Can be locked, not deleted.
TELL = {"SELECT": EVERY, "INSERT": "id type occurred_at caller data"}  # Never an event of a job.
ACTION = "id actor action object details job_id"  # Never when that was.
NONE: Rights = {}

API: Mapping[str, Rights] = {
    "alembic_version": NONE,
    "api_keys": READ,
    "blocks": READ,
    "customer_velocity": NONE,
    "customers": READ,
    "entries": READ,
    "events": TELL,
    "imports": NONE,
    "jobs": READ
    | {"INSERT": "id kind queue caller idempotency_key fingerprint payload callback_url trace_context items"},
    "leases": NONE,
    "legacy_ids": NONE,
    "operator_actions": READ | {"INSERT": ACTION},
    "refresh_tokens": KEEP,
    "sessions": KEEP,
    "transactions": READ,
    "wallets": READ,
    "webhook_cursor": READ,
    "webhook_deliveries": KEEP,
    "webhook_endpoints": KEEP,
    "webhook_secrets": KEEP | {"DELETE": EVERY},
    "webhook_totals": READ,
}
WORKER: Mapping[str, Rights] = {
    "alembic_version": NONE,
    "api_keys": {"SELECT": "id scopes expires_at revoked_at"},
    "blocks": READ | {"INSERT": "number before_xact_id transactions digest head"},
    "customer_velocity": READ | {"UPDATE": "spent", "SELECT FOR UPDATE": EVERY},
    "customers": READ | {"INSERT": EVERY, "UPDATE": "state", "SELECT FOR UPDATE": EVERY},
    "entries": READ | {"INSERT": EVERY},
    "events": TELL,
    "imports": NONE,
    "jobs": READ
    | {
        "UPDATE": "state payload result error attempts due_at finished_at progress",  # Of a payload, see the trigger.
        "SELECT FOR UPDATE": EVERY,
    },
    "leases": KEEP | {"DELETE": EVERY},
    "legacy_ids": NONE,
    "operator_actions": {"INSERT": ACTION},
    "refresh_tokens": NONE,
    "sessions": READ | {"DELETE": EVERY},
    "transactions": READ
    | {
        "INSERT": "id kind amount currency source_wallet_id destination_wallet_id description external_reference"
        " metadata posted_at seal job_id"  # Never its place in the chain.
    },
    "wallets": READ
    | {
        "INSERT": "id number customer_id type currency balance_max",  # Empty, and never below zero.
        "UPDATE": "state balance sequence seal folded_before frozen_alone spent",  # Never whose it is, nor its bounds.
        "SELECT FOR UPDATE": EVERY,
    },
    "webhook_cursor": READ | {"UPDATE": EVERY, "SELECT FOR UPDATE": EVERY},
    "webhook_deliveries": KEEP | {"DELETE": EVERY},
    "webhook_endpoints": READ
    | {"UPDATE": "enabled disabled_reason failing_since paused_until", "SELECT FOR UPDATE": EVERY},
    "webhook_secrets": READ,
    "webhook_totals": READ | {"UPDATE": EVERY, "SELECT FOR UPDATE": EVERY},
}
SEQUENCES: Mapping[str, Mapping[str, set[str]]] = {
    "api_tx": {"system_entries": set(), "wallet_numbers": set()},
    "worker_tx": {"system_entries": {"nextval"}, "wallet_numbers": {"nextval"}},
}
EVERYBODYS = {"job_event_type": True, "uuid7": True, "uuid7_floor": True}
FUNCTIONS: Mapping[str, Mapping[str, bool]] = {
    "api_tx": EVERYBODYS
    | {"cancel_job": True, "replace_password_hash": True, "add_partition": False, "drop_partition": False}
    | {"revoke_sessions": False, "lock_wallets": False, "lock_customers": False},
    "worker_tx": EVERYBODYS
    | {"cancel_job": False, "replace_password_hash": False, "add_partition": True, "drop_partition": True}
    | {"revoke_sessions": True, "lock_wallets": True, "lock_customers": True},
}
RUN_AS_OWNER = {
    "cancel_job",
    "record_job_events",
    "replace_password_hash",
    "revoke_sessions",
    "add_partition",
    "drop_partition",
    "keep_customer_velocity",
}

# None of them finds a row: PostgreSQL asks for the right before it looks.
BY_COLUMN = {
    "SELECT": "SELECT {column} FROM {table} WHERE false",
    "INSERT": "INSERT INTO {table} ({column}) SELECT NULL WHERE false",
    "UPDATE": "UPDATE {table} SET {column} = NULL WHERE false",
}
BY_TABLE = {
    "SELECT FOR UPDATE": "SELECT FROM {table} WHERE false FOR UPDATE",
    "DELETE": "DELETE FROM {table} WHERE false",
    "TRUNCATE": "TRUNCATE {table} CASCADE",
    "CREATE TRIGGER": "CREATE TRIGGER mine BEFORE INSERT ON {table} EXECUTE FUNCTION refuse_history_edits()",
    "CREATE RULE": "CREATE RULE mine AS ON INSERT TO {table} DO INSTEAD NOTHING",
    "CREATE INDEX": "CREATE INDEX mine ON {table} ((1))",
    "ALTER TABLE": "ALTER TABLE {table} ADD mine int",
    "DISABLE TRIGGER": "ALTER TABLE {table} DISABLE TRIGGER USER",
    "DROP TABLE": "DROP TABLE {table} CASCADE",
}
BY_SEQUENCE = {
    "nextval": "SELECT nextval('{}')",
    "setval": "SELECT setval('{}', 1)",
    "SELECT": "SELECT last_value FROM {}",
    "ALTER": "ALTER SEQUENCE {} RESTART",
}


@pytest.mark.parametrize(("role", "expected"), [("api_tx", API), ("worker_tx", WORKER)])
def test_each_statement_on_each_table_passes_for_a_role_that_needs_it_and_for_no_other(
    request: pytest.FixtureRequest, tx: Connection, role: str, expected: Mapping[str, Rights]
) -> None:
    connection: Connection = request.getfixturevalue(role)
    assert {table: allowed(connection, table, columns) for table, columns in tables(tx).items()} == expected


@pytest.mark.parametrize("role", ["api_tx", "worker_tx"])
def test_a_partition_is_reached_by_its_table_only(request: pytest.FixtureRequest, role: str) -> None:
    connection: Connection = request.getfixturevalue(role)
    assert connection.scalars(OPEN_PARTITIONS).all() == []


@pytest.mark.parametrize("role", SEQUENCES)
def test_only_who_posts_draws_numbers(request: pytest.FixtureRequest, tx: Connection, role: str) -> None:
    connection: Connection = request.getfixturevalue(role)
    found = {
        sequence: {kind for kind, statement in BY_SEQUENCE.items() if passes(connection, statement.format(sequence))}
        for sequence in names(tx, "S")
    }
    assert found == SEQUENCES[role]


@pytest.mark.parametrize("role", FUNCTIONS)
def test_each_function_is_for_those_who_need_it(request: pytest.FixtureRequest, role: str) -> None:
    connection: Connection = request.getfixturevalue(role)
    assert {row.proname: row.may for row in connection.execute(CALLABLE)} == FUNCTIONS[role]


def test_what_runs_as_the_owner_is_known_and_looks_for_names_in_one_place(tx: Connection) -> None:
    found = {row.proname: row.proconfig for row in tx.execute(DEFINERS)}
    assert found == {name: ["search_path=public, pg_temp"] for name in RUN_AS_OWNER}


@pytest.mark.parametrize("role", ["api_tx", "worker_tx"])
def test_no_right_can_be_passed_on(request: pytest.FixtureRequest, role: str) -> None:
    connection: Connection = request.getfixturevalue(role)
    assert connection.execute(GRANTABLE).all() == []


@pytest.mark.parametrize("role", ["api_tx", "worker_tx"])
def test_everybody_together_has_no_right_to_any_table(request: pytest.FixtureRequest, role: str) -> None:
    """A right of PUBLIC is one of each role that is made later, too."""
    connection: Connection = request.getfixturevalue(role)
    assert connection.scalars(OPEN_TO_ALL).all() == []


def allowed(connection: Connection, table: str, columns: Mapping[str, bool]) -> dict[str, str]:
    """Try every kind of statement; return those that passed, with the columns they passed for."""
    rights = {}
    for kind, statement in BY_COLUMN.items():
        possible = [name for name, is_generated in columns.items() if kind == "SELECT" or not is_generated]
        passed = [name for name in possible if passes(connection, statement.format(table=table, column=name))]
        if passed:
            rights[kind] = EVERY if passed == possible else " ".join(passed)
    return rights | {
        kind: EVERY for kind, statement in BY_TABLE.items() if passes(connection, statement.format(table=table))
    }


def passes(connection: Connection, statement: str) -> bool:
    """Tell whether the role may do it; any other trouble than a missing right is the test's own."""
    try:
        with undone(connection):
            connection.exec_driver_sql(statement)
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            return False
        raise
    return True


@contextmanager
def undone(connection: Connection) -> Iterator[None]:
    savepoint = connection.begin_nested()
    try:
        yield
    finally:
        savepoint.rollback()


def tables(tx: Connection) -> dict[str, dict[str, bool]]:
    """Return all that holds rows, with its columns and whether they are generated."""
    return {
        table: {row.attname: row.is_generated for row in tx.execute(COLUMNS, {"table": table})}
        for table in names(tx, "r", "p", "v", "m", "f")
    }


def names(tx: Connection, *kinds: str) -> Sequence[str]:
    return tx.scalars(RELATIONS, {"kinds": list(kinds)}).all()


RELATIONS = text("""
    SELECT relname FROM pg_class
     WHERE relnamespace = CAST('public' AS regnamespace) AND relkind = ANY(CAST(:kinds AS text[]))
       AND NOT relispartition ORDER BY relname
""")
COLUMNS = text("""
    SELECT attname, attgenerated <> '' AS is_generated FROM pg_attribute
     WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
""")
# A function that returns a trigger cannot be called.
CALLABLE = text("""
    SELECT proname, has_function_privilege(oid, 'EXECUTE') AS may FROM pg_proc
     WHERE pronamespace = CAST('public' AS regnamespace) AND prorettype <> CAST('trigger' AS regtype)
""")
DEFINERS = text("""
    SELECT proname, proconfig FROM pg_proc WHERE pronamespace = CAST('public' AS regnamespace) AND prosecdef
""")
GRANTABLE = text("""
    SELECT table_name, privilege_type FROM information_schema.role_table_grants
     WHERE grantee = current_user AND is_grantable = 'YES'
     UNION ALL
    SELECT table_name, privilege_type FROM information_schema.role_column_grants
     WHERE grantee = current_user AND is_grantable = 'YES'
""")
OPEN_PARTITIONS = text("""
    SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' AND has_any_column_privilege(oid, 'SELECT')
""")
OPEN_TO_ALL = text("""
    SELECT relname FROM pg_class, aclexplode(relacl) AS granted
     WHERE relnamespace = CAST('public' AS regnamespace) AND granted.grantee = 0
""")
