"""History cannot be edited by anyone, and each role can do what its work needs and nothing else."""

import pytest
from sqlalchemy import Connection, text

from db.engine import transaction
from domain.jobs import Kind
from settings import Settings
from tests import made
from tests.databases import forbidden, refused_by

EDITS = [
    "UPDATE {table} SET {column} = {column}",
    "UPDATE {table} SET {column} = NULL WHERE false",
    "DELETE FROM {table}",
    "DELETE FROM {table} WHERE false",
    "TRUNCATE {table} CASCADE",
]
HISTORY = {
    "entries": "amount",
    "transactions": "seal",
    "events": "type",
    "operator_actions": "actor",
    "blocks": "head",
}
INVENTED_EVENT = (
    "INSERT INTO events (id, type, occurred_at, caller, data, {})"
    " VALUES (gen_random_uuid(), 'webhook.test', now(), 'c', '{{}}', {})"
)

NOBODY_MAY = [
    "DELETE FROM jobs",
    "DELETE FROM wallets",
    "DELETE FROM customers",
    "DELETE FROM api_keys",
    "TRUNCATE jobs CASCADE",
    "TRUNCATE wallets CASCADE",
    "UPDATE customers SET full_name = 'x'",
    "UPDATE api_keys SET revoked_at = NULL",
    "INSERT INTO api_keys (id, name, digest, scopes) VALUES (gen_random_uuid(), 'n', 'd', '{*}')",
    "CREATE TABLE mine (id int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TRIGGER mine BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION refuse_history_edits()",
    "CREATE ROLE mine",
    "ALTER TABLE entries DISABLE TRIGGER ALL",
    "ALTER TABLE entries DROP CONSTRAINT entries_pkey",
    "DROP TABLE entries",
    "DROP TRIGGER entries_append_only ON entries",
    "SET session_replication_role = replica",
    "SET ROLE tekana",
    "COPY jobs TO PROGRAM 'cat'",
    "SELECT pg_read_file('postgresql.conf')",
    "UPDATE alembic_version SET version_num = 'x'",
    "SELECT setval('system_entries', 1)",
    "SELECT setval('wallet_numbers', 1)",
    INVENTED_EVENT.format("job_id", "gen_random_uuid()"),
    INVENTED_EVENT.format("callback_url", "'https://example.rw/'"),
    INVENTED_EVENT.format("xact_id", "0"),
    "UPDATE events SET type = 'x'",
    "DELETE FROM events",
    "TRUNCATE events CASCADE",
    "SELECT * FROM events FOR SHARE",
    "ALTER TABLE events DISABLE TRIGGER ALL",
    "DROP TRIGGER events_append_only ON events",
    "DROP TRIGGER jobs_events ON jobs",
    "CREATE OR REPLACE FUNCTION job_event_type(kind text, state text) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$",
    "UPDATE operator_actions SET actor = 'x'",
    "DELETE FROM operator_actions",
    "TRUNCATE operator_actions",
    "ALTER TABLE operator_actions DISABLE TRIGGER ALL",
    "INSERT INTO operator_actions (id, at, actor, action, object) VALUES (gen_random_uuid(), now(), 'a', 'a', 'o')",
    "DELETE FROM webhook_endpoints",
    "TRUNCATE webhook_deliveries",
    "INSERT INTO webhook_cursor (xact_id, event_id) VALUES (0, gen_random_uuid())",
    "DELETE FROM webhook_cursor",
    "INSERT INTO webhook_totals (outcome) VALUES ('lost')",
    "DELETE FROM webhook_totals",
]
API_MAY_NOT = [
    "INSERT INTO wallets (id, type, currency, balance_max) VALUES (gen_random_uuid(), 'personal', 'RWF', 1)",
    "UPDATE wallets SET balance = 1",
    "UPDATE wallets SET state = 'open'",
    (
        "INSERT INTO transactions (id, kind, amount, currency, posted_at, seal)"
        " VALUES (gen_random_uuid(), 'deposit', 1, 'RWF', now(), 's')"
    ),
    (
        "INSERT INTO entries (wallet_id, sequence, transaction_id, amount, seal)"
        " VALUES (gen_random_uuid(), 1, gen_random_uuid(), 1, 's')"
    ),
    (
        "INSERT INTO customers (id, full_name, email, national_id_sealed, national_id_index, password_hash)"
        " VALUES (gen_random_uuid(), 'n', 'e', 's', 'i', 'h')"
    ),
    "UPDATE jobs SET state = 'queued'",
    "INSERT INTO jobs (id, state) VALUES (gen_random_uuid(), 'succeeded')",
    "UPDATE jobs SET payload = '{}'",
    "SELECT * FROM jobs FOR UPDATE",
    "SELECT * FROM wallets FOR SHARE",
    "SELECT * FROM leases",
    "INSERT INTO leases (id, job_ids) VALUES (gen_random_uuid(), '{}')",
    "DELETE FROM leases",
    "DELETE FROM sessions",
    "DELETE FROM refresh_tokens",
    "SELECT nextval('system_entries')",
    "SELECT nextval('wallet_numbers')",
    "INSERT INTO jobs (id, progress) VALUES (gen_random_uuid(), '{}')",
    "UPDATE jobs SET callback_url = 'https://example.rw/'",
    "UPDATE jobs SET trace_context = 'x'",
    "UPDATE webhook_cursor SET xact_id = 0",
    "SELECT * FROM webhook_cursor FOR UPDATE",
    "UPDATE webhook_totals SET deliveries = 0",
    "DELETE FROM webhook_deliveries",
]
WORKER_MAY_NOT = [
    (
        "INSERT INTO jobs (id, kind, queue, caller, idempotency_key, fingerprint, payload)"
        " VALUES (gen_random_uuid(), 'deposit.create', 'transactions', 'c', 'k', 'f', '{}')"
    ),
    "UPDATE wallets SET customer_id = gen_random_uuid()",
    "UPDATE wallets SET balance_min = -1",
    "UPDATE wallets SET balance_max = 1",
    "UPDATE wallets SET held = 0",
    "UPDATE wallets SET currency = 'USD'",
    "UPDATE wallets SET number = '1'",
    "INSERT INTO wallets (id, balance) VALUES (gen_random_uuid(), 1)",
    "INSERT INTO wallets (id, balance_min) VALUES (gen_random_uuid(), -1)",
    "UPDATE jobs SET kind = 'deposit.create'",
    "UPDATE jobs SET caller = 'c'",
    "UPDATE jobs SET items = 1",
    "UPDATE jobs SET callback_url = 'https://example.rw/'",
    "UPDATE customer_velocity SET customer_id = gen_random_uuid()",
    "SELECT * FROM api_keys",
    "SELECT * FROM refresh_tokens",
    "SELECT * FROM operator_actions",
    "INSERT INTO sessions (id, customer_id, expires_at) VALUES (gen_random_uuid(), gen_random_uuid(), now())",
    "UPDATE sessions SET revoked_at = NULL",
    "INSERT INTO refresh_tokens (digest, session_id) VALUES ('d', gen_random_uuid())",
    "SELECT cancel_job(gen_random_uuid())",
    "SELECT digest FROM api_keys",
    "SELECT name FROM api_keys",
    "UPDATE api_keys SET scopes = '{*}'",
    (
        "INSERT INTO webhook_endpoints (id, key_id, url, event_types)"
        " VALUES (gen_random_uuid(), gen_random_uuid(), 'u', '{}')"
    ),
    "UPDATE webhook_endpoints SET url = 'https://example.rw/'",
    "UPDATE webhook_endpoints SET event_types = '{*}'",
    "UPDATE webhook_endpoints SET key_id = gen_random_uuid()",
    "UPDATE webhook_endpoints SET since_xact_id = 0",
    "UPDATE webhook_endpoints SET deleted_at = NULL",
    "INSERT INTO webhook_secrets (owner_id, sealed) VALUES (gen_random_uuid(), 's')",
    "UPDATE webhook_secrets SET sealed = 's'",
    "DELETE FROM webhook_secrets",
]
WORKER_MAY = [
    "SELECT id, scopes, expires_at, revoked_at FROM api_keys",
    "SELECT * FROM webhook_cursor FOR UPDATE",
    "UPDATE webhook_cursor SET xact_id = 0",
    "UPDATE webhook_totals SET deliveries = 0",
    "UPDATE webhook_endpoints SET enabled = false, disabled_reason = 'r', failing_since = now(), paused_until = now()",
    "DELETE FROM webhook_deliveries",
    "SELECT * FROM webhook_secrets",
]
API_MAY = [
    "UPDATE webhook_endpoints SET url = 'https://example.rw/'",
    "UPDATE webhook_deliveries SET due_at = now()",
    "DELETE FROM webhook_secrets",
    "SELECT * FROM webhook_cursor, webhook_totals",
]


@pytest.mark.parametrize("table", HISTORY)
@pytest.mark.parametrize("edit", EDITS)
def test_not_even_the_owner_edits_history(tx: Connection, table: str, edit: str) -> None:
    made.transfer_between_two(tx)
    with refused_by(f"{table}_append_only"):
        tx.execute(text(edit.format(table=table, column=HISTORY[table])))


PAYLOADS = [
    (Kind.DEPOSIT_CREATE, "payload = '{}', state = 'canceled', finished_at = now()"),
    (Kind.DEPOSIT_CREATE, """payload = jsonb_set(payload, '{amount}', '9')"""),
    (Kind.CUSTOMER_REGISTER, """payload = jsonb_set(payload, '{email}', '"x"')"""),
    (Kind.CUSTOMER_REGISTER, "payload = '{}'"),
    (
        Kind.CUSTOMER_REGISTER,
        """payload = jsonb_set(payload, '{email}', '"x"'), state = 'canceled', finished_at = now()""",
    ),
]


@pytest.mark.parametrize(("kind", "change"), PAYLOADS)
@pytest.mark.parametrize("url", ["database_url", "database_worker_url"])
def test_nobody_changes_what_a_job_asked_for(fresh: Settings, url: str, kind: Kind, change: str) -> None:
    with transaction(fresh.database_url) as tx:
        job = made.job(tx, kind, {"amount": 5, "email": "a"})
    with refused_by("jobs_payload_stays"), transaction(getattr(fresh, url)) as tx:
        tx.execute(text(f"UPDATE jobs SET {change} WHERE id = :id"), {"id": job})  # noqa: S608 - our own literals


PARTITIONS = (
    "SELECT CAST(CAST(inhrelid AS regclass) AS text) FROM pg_inherits WHERE inhparent = CAST('events' AS regclass)"
)


@pytest.mark.parametrize("edit", EDITS)
def test_not_even_the_owner_edits_a_partition(tx: Connection, edit: str) -> None:
    partitions = list(tx.scalars(text(PARTITIONS)))
    assert "events_default" in partitions
    for table in partitions:
        with refused_by(f"{table}_append_only"), tx.begin_nested():
            tx.execute(text(edit.format(table=table, column="type")))


OPENING = """
    INSERT INTO transactions (id, kind, amount, currency, destination_wallet_id, posted_at, seal)
    SELECT gen_random_uuid(), 'opening', 5, 'RWF', id, now(), 's' FROM wallets WHERE customer_id IS NOT NULL LIMIT 1
"""


def test_only_the_owner_opens_a_balance(fresh: Settings) -> None:
    with transaction(fresh.database_url) as tx:
        made.wallet(tx)
        tx.execute(text(OPENING))
    with refused_by("transactions_job_exists"), transaction(fresh.database_worker_url) as worker:
        worker.execute(text(OPENING))


def test_no_temporary_table_blinds_a_check(fresh: Settings) -> None:
    with transaction(fresh.database_url) as tx:
        made.wallet(tx)
    with refused_by("transactions_job_exists"), transaction(fresh.database_worker_url) as worker:
        worker.execute(text("CREATE TEMP TABLE jobs (id uuid)"))
        worker.execute(text("SET LOCAL search_path = pg_temp, public"))
        worker.execute(text("INSERT INTO jobs SELECT gen_random_uuid()"))
        worker.execute(
            text(OPENING.replace("gen_random_uuid()", "(SELECT id FROM jobs)").replace("opening", "deposit"))
        )


@pytest.mark.parametrize("table", HISTORY)
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("role", ["api_tx", "worker_tx"])
def test_no_role_may_try_to_edit_history(request: pytest.FixtureRequest, role: str, edit: str, table: str) -> None:
    connection: Connection = request.getfixturevalue(role)
    with forbidden():
        connection.execute(text(edit.format(table=table, column=HISTORY[table])))


@pytest.mark.parametrize("statement", NOBODY_MAY + API_MAY_NOT)
def test_the_api_cannot_move_money_or_change_what_was_accepted(api_tx: Connection, statement: str) -> None:
    with forbidden():
        api_tx.exec_driver_sql(statement)


@pytest.mark.parametrize("statement", NOBODY_MAY + WORKER_MAY_NOT)
def test_a_worker_cannot_invent_jobs_or_log_in(worker_tx: Connection, statement: str) -> None:
    with forbidden():
        worker_tx.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("role", "statement"),
    [*(("worker_tx", statement) for statement in WORKER_MAY), *(("api_tx", statement) for statement in API_MAY)],
)
def test_each_role_can_do_what_webhooks_need_of_it(request: pytest.FixtureRequest, role: str, statement: str) -> None:
    connection: Connection = request.getfixturevalue(role)
    connection.exec_driver_sql(statement)


@pytest.mark.parametrize("role", ["api_tx", "worker_tx"])
def test_a_role_owns_nothing_and_is_nobody_special(request: pytest.FixtureRequest, role: str) -> None:
    connection: Connection = request.getfixturevalue(role)
    powers = connection.execute(POWERS).one()
    assert tuple(powers) == (False, False, False, False, False)
    assert connection.scalar(OWNED) == 0
    assert connection.scalar(MEMBERSHIPS) == 0


POWERS = text(
    "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
    " FROM pg_roles WHERE rolname = current_user"
)
OWNED = text("SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = current_user")
MEMBERSHIPS = text("SELECT count(*) FROM pg_auth_members WHERE member = CAST(current_user AS regrole)")


def test_the_two_halves_of_a_transaction_must_sum_to_zero(tx: Connection) -> None:
    transaction, source, destination = bare_transfer(tx, "RWF")
    with refused_by("entries_balanced"):
        post(tx, (transaction, source, -5_00), (transaction, destination, 4_99))


def test_one_half_of_a_transaction_cannot_be_posted_alone(tx: Connection) -> None:
    transaction, source, _ = bare_transfer(tx, "RWF")
    with refused_by("entries_balanced"):
        post(tx, (transaction, source, -5_00))


def test_entries_that_only_balance_across_transactions_are_refused(tx: Connection) -> None:
    first, source, _ = bare_transfer(tx, "RWF")
    second, _, destination = bare_transfer(tx, "RWF")
    with refused_by("entries_balanced"):
        post(tx, (first, source, -5_00), (second, destination, 5_00))


def test_entries_of_wallets_in_another_currency_are_refused(tx: Connection) -> None:
    transaction, source, destination = bare_transfer(tx, "USD")
    with refused_by("entries_balanced"):
        post(tx, (transaction, source, -5_00), (transaction, destination, 5_00))


def test_both_halves_together_are_taken(tx: Connection) -> None:
    transaction, source, destination = bare_transfer(tx, "RWF")
    post(tx, (transaction, source, -5_00), (transaction, destination, 5_00))
    assert tx.scalar(text("SELECT count(*) FROM entries WHERE transaction_id = :id"), {"id": transaction}) == 2


def bare_transfer(tx: Connection, currency: str) -> tuple[object, object, object]:
    """Write a transfer of 5.00 without its entries; return its id and its wallets'."""
    source, destination, job = made.wallet(tx), made.wallet(tx), made.job(tx)
    tx.execute(
        text(
            "INSERT INTO transactions (id, kind, amount, currency, source_wallet_id, destination_wallet_id, posted_at,"
            " seal) VALUES (:id, 'transfer', 500, :currency, :source, :destination, now(), '')"
        ),
        {"id": job, "currency": currency, "source": source, "destination": destination},
    )
    return job, source, destination


def post(tx: Connection, *lines: tuple[object, object, int]) -> None:
    """Write entries in one statement, as the ledger does."""
    values = [
        f"('{wallet}', {1 + place}, '{transaction}', {amount}, {abs(amount)}, '')"
        for place, (transaction, wallet, amount) in enumerate(lines)
    ]
    tx.execute(
        text(
            "INSERT INTO entries (wallet_id, sequence, transaction_id, amount, balance_after, seal) VALUES "  # noqa: S608 - our own literals
            + ", ".join(values)
        )
    )
