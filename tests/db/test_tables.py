"""What the database refuses by itself, whoever asks. Constraints are known by their names."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.customers
import db.tables
from domain.jobs import Kind
from tests import made
from tests.databases import refused_by

# What each table is given when nothing is wrong; a case breaks one thing. `{...}` are ids of `rows`.
CUSTOMER = {
    "id": "'{new}'",
    "full_name": "'Bob'",
    "email": "'bob@example.rw'",
    "national_id_sealed": "'s'",
    "national_id_index": "'i'",
    "password_hash": "'h'",
}
WALLET = {
    "id": "'{new}'",
    "number": "'1'",
    "customer_id": "'{customer}'",
    "type": "'personal'",
    "currency": "'RWF'",
    "balance_max": "1000",
}
SYSTEM = WALLET | {"type": "'fees'", "customer_id": "NULL", "number": "NULL", "folded_before": "0"}
VELOCITY = {"customer_id": "'{customer}'", "currency": "'USD'"}
BLOCK = {
    "number": "1",
    "before_xact_id": "5",
    "transactions": "0",
    "digest": "sha256('')",
    "head": "sha256('1')",
}
JOB = {
    "id": "'{new}'",
    "kind": "'wallet.open'",
    "queue": "'wallets'",
    "caller": "'c'",
    "idempotency_key": "'k'",
    "fingerprint": "'f'",
    "payload": "'{{}}'",
}
TRANSACTION = {
    "id": "'{job}'",
    "kind": "'transfer'",
    "amount": "5",
    "currency": "'RWF'",
    "source_wallet_id": "'{wallet}'",
    "destination_wallet_id": "'{other_wallet}'",
    "posted_at": "now()",
    "seal": "'s'",
}
ENTRY = {
    "wallet_id": "'{wallet}'",
    "sequence": "9",
    "transaction_id": "'{transaction}'",
    "amount": "5",
    "balance_after": "5",
    "seal": "'s'",
}
LEASE = {"id": "'{new}'", "job_ids": "'{{}}'"}
SESSION = {"id": "'{new}'", "customer_id": "'{customer}'", "expires_at": "now()"}
TOKEN = {"digest": "'d'", "session_id": "'{session}'"}
KEY = {"id": "'{new}'", "name": "'n'", "digest": "'d'", "scopes": "'{{}}'"}

EVENT = {
    "id": "'{new}'",
    "type": "'webhook.test'",
    "occurred_at": "now()",
    "caller": "'c'",
    "data": "'{{}}'",
}
TOLD = EVENT | {"type": "'deposit.failed'", "job_id": "'{job}'"}
ENDPOINT = {"id": "'{new}'", "key_id": "'{key}'", "url": "'https://example.rw/'", "event_types": "'{{*}}'"}
SECRET = {"owner_id": "'{new}'", "sealed": "'s'"}
CURSOR = {"is_only": "NULL", "xact_id": "0", "event_id": "'{new}'"}
DELIVERY = {
    "id": "'{new}'",
    "event_id": "'{event}'",
    "event_type": "'webhook.test'",
    "key_id": "'{key}'",
    "endpoint_id": "'{endpoint}'",
}
CALLBACK = DELIVERY | {"endpoint_id": "NULL", "callback_url": "'https://example.rw/'"}
TOTAL = {"outcome": "'lost'"}
LEGACY = {"kind": "'wallet'", "legacy_id": "'taken'", "id": "'{new}'"}
IMPORT = {"id": "'{new}'", "digest": "'d'", "kind": "'wallets'", "file_name": "'wallets.csv'"}

ACTION = {"id": "'{new}'", "actor": "'a'", "action": "'key.create'", "object": "'o'", "job_id": "'{new}'"}

ENDED = {"finished_at": "now()"}
RESULT, ERROR = {"result": "'{{}}'"}, {"error": "'{{}}'"}

BROKEN = [
    ("customers_pkey", "customers", CUSTOMER | {"id": "'{customer}'"}),
    ("customers_email_unique", "customers", CUSTOMER | {"email": "'ada@example.rw'"}),
    ("customers_national_id_unique", "customers", CUSTOMER | {"national_id_index": "'index ada'"}),
    ("customers_email_lower", "customers", CUSTOMER | {"email": "'Bob@example.rw'"}),
    ("customers_gender_known", "customers", CUSTOMER | {"gender": "'X'"}),
    ("customers_state_known", "customers", CUSTOMER | {"state": "'lost'"}),
    ("wallets_pkey", "wallets", WALLET | {"id": "'{wallet}'"}),
    ("wallets_number_unique", "wallets", WALLET | {"number": "'{number}'"}),
    ("wallets_customer_exists", "wallets", WALLET | {"customer_id": "'{new}'"}),
    ("wallets_balance_within_bounds", "wallets", WALLET | {"balance": "1001"}),
    ("wallets_balance_within_bounds", "wallets", WALLET | {"balance": "-1"}),
    ("wallets_balance_within_bounds", "wallets", WALLET | {"balance": "-11", "balance_min": "-10"}),
    ("wallets_held_is_covered", "wallets", WALLET | {"held": "-1"}),
    ("wallets_held_is_covered", "wallets", WALLET | {"balance": "10", "held": "11"}),
    ("wallets_spent_is_five_numbers", "wallets", WALLET | {"spent": "'{{1,2,3,4}}'"}),
    ("customer_velocity_pkey", "customer_velocity", VELOCITY | {"currency": "'RWF'"}),
    ("customer_velocity_customer_exists", "customer_velocity", VELOCITY | {"customer_id": "'{new}'"}),
    ("customer_velocity_spent_is_five_numbers", "customer_velocity", VELOCITY | {"spent": "'{{1,2,3,4,5,6}}'"}),
    ("wallets_state_known", "wallets", WALLET | {"state": "'lost'"}),
    ("wallets_frozen_alone_is_frozen", "wallets", WALLET | {"frozen_alone": "true"}),
    ("wallets_frozen_alone_is_frozen", "wallets", WALLET | {"state": "'closed'", "frozen_alone": "true"}),
    ("wallets_closed_are_empty", "wallets", WALLET | {"state": "'closed'", "balance": "1"}),
    ("wallets_closed_are_empty", "wallets", WALLET | {"state": "'closed'", "balance_min": "-1", "held": "1"}),
    ("wallets_type_known", "wallets", WALLET | {"type": "'gold'"}),
    ("wallets_type_known", "wallets", WALLET | {"number": "NULL"}),
    ("wallets_type_known", "wallets", WALLET | {"customer_id": "NULL"}),
    ("wallets_type_known", "wallets", SYSTEM | {"customer_id": "'{customer}'"}),
    ("wallets_type_known", "wallets", SYSTEM | {"folded_before": "NULL"}),
    ("jobs_pkey", "jobs", JOB | {"id": "'{job}'"}),
    ("jobs_idempotency_key_unique", "jobs", JOB | {"caller": "'c'", "idempotency_key": "'taken'"}),
    ("jobs_state_known", "jobs", JOB | {"state": "'lost'"}),
    ("jobs_state_known", "jobs", JOB | {"state": "'queued'"} | ENDED),
    ("jobs_state_known", "jobs", JOB | {"state": "'queued'"} | RESULT),
    ("jobs_state_known", "jobs", JOB | {"state": "'queued'"} | ERROR),
    ("jobs_state_known", "jobs", JOB | {"state": "'succeeded'"} | RESULT),
    ("jobs_state_known", "jobs", JOB | {"state": "'succeeded'"} | ENDED),
    ("jobs_state_known", "jobs", JOB | {"state": "'succeeded'"} | ENDED | RESULT | ERROR),
    ("jobs_state_known", "jobs", JOB | {"state": "'rejected'"} | ENDED),
    ("jobs_state_known", "jobs", JOB | {"state": "'rejected'"} | ENDED | RESULT | ERROR),
    ("jobs_state_known", "jobs", JOB | {"state": "'failed'"} | ENDED),
    ("jobs_state_known", "jobs", JOB | {"state": "'failed'"} | ERROR),
    ("jobs_state_known", "jobs", JOB | {"state": "'canceled'"}),
    ("jobs_state_known", "jobs", JOB | {"state": "'canceled'"} | ENDED | ERROR),
    ("transactions_pkey", "transactions", TRANSACTION | {"id": "'{transaction}'"}),
    ("transactions_job_exists", "transactions", TRANSACTION | {"id": "'{new}'"}),
    ("transactions_amount_positive", "transactions", TRANSACTION | {"amount": "0"}),
    ("transactions_amount_positive", "transactions", TRANSACTION | {"amount": "-5"}),
    ("transactions_kind_known", "transactions", TRANSACTION | {"kind": "'gift'"}),
    ("transactions_kind_known", "transactions", TRANSACTION | {"kind": "'deposit'"}),
    ("transactions_kind_known", "transactions", TRANSACTION | {"kind": "'withdrawal'"}),
    ("transactions_kind_known", "transactions", TRANSACTION | {"kind": "'opening'"}),
    ("transactions_kind_known", "transactions", TRANSACTION | {"source_wallet_id": "NULL"}),
    ("transactions_kind_known", "transactions", TRANSACTION | {"destination_wallet_id": "NULL"}),
    ("transactions_kind_known", "transactions", TRANSACTION | {"destination_wallet_id": "'{wallet}'"}),
    ("entries_pkey", "entries", ENTRY | {"sequence": "1"}),
    ("entries_once_per_transaction", "entries", ENTRY),
    ("entries_wallet_exists", "entries", ENTRY | {"wallet_id": "'{new}'"}),
    ("entries_transaction_exists", "entries", ENTRY | {"transaction_id": "'{new}'"}),
    ("entries_amount_not_zero", "entries", ENTRY | {"amount": "0"}),
    ("entries_balance_or_fold", "entries", ENTRY | {"balance_after": "NULL"}),
    ("entries_balance_or_fold", "entries", ENTRY | {"xact_id": "1"}),
    ("entries_balanced", "entries", ENTRY | {"wallet_id": "'{other_wallet}'"}),
    ("blocks_pkey", "blocks", BLOCK | {"number": "0"}),
    ("blocks_transactions_counted", "blocks", BLOCK | {"transactions": "-1"}),
    ("blocks_hashes_are_sha256", "blocks", BLOCK | {"digest": "'short'"}),
    ("blocks_hashes_are_sha256", "blocks", BLOCK | {"head": "'short'"}),
    ("operator_actions_pkey", "operator_actions", ACTION | {"id": "'{customer}'"}),
    ("operator_actions_once_per_job", "operator_actions", ACTION | {"job_id": "'{job}'"}),
    ("leases_pkey", "leases", LEASE | {"id": "'{lease}'"}),
    ("sessions_pkey", "sessions", SESSION | {"id": "'{session}'"}),
    ("sessions_customer_exists", "sessions", SESSION | {"customer_id": "'{new}'"}),
    ("refresh_tokens_pkey", "refresh_tokens", TOKEN | {"digest": "'taken'"}),
    ("refresh_tokens_session_exists", "refresh_tokens", TOKEN | {"session_id": "'{new}'"}),
    ("api_keys_pkey", "api_keys", KEY | {"id": "'{key}'"}),
    ("api_keys_digest_unique", "api_keys", KEY | {"digest": "'taken'"}),
    ("events_pkey", "events", EVENT | {"id": "'{event}'"}),
    ("events_told_by_a_job_or_by_webhooks", "events", EVENT | {"type": "'deposit.failed'"}),
    ("events_told_by_a_job_or_by_webhooks", "events", EVENT | {"type": "'Webhook.test'"}),
    ("events_told_by_a_job_or_by_webhooks", "events", EVENT | {"data": "NULL"}),
    ("events_told_by_a_job_or_by_webhooks", "events", EVENT | {"callback_url": "'https://example.rw/'"}),
    ("events_told_by_a_job_or_by_webhooks", "events", EVENT | {"job_id": "'{job}'"}),
    ("events_told_by_a_job_or_by_webhooks", "events", TOLD | {"type": "'webhook_endpoint.disabled'"}),
    ("webhook_endpoints_pkey", "webhook_endpoints", ENDPOINT | {"id": "'{endpoint}'"}),
    ("webhook_endpoints_key_exists", "webhook_endpoints", ENDPOINT | {"key_id": "'{new}'"}),
    ("webhook_endpoints_enabled_or_why", "webhook_endpoints", ENDPOINT | {"enabled": "false"}),
    ("webhook_endpoints_enabled_or_why", "webhook_endpoints", ENDPOINT | {"disabled_reason": "'r'"}),
    ("webhook_endpoints_enabled_or_why", "webhook_endpoints", ENDPOINT | {"deleted_at": "now()"}),
    ("webhook_secrets_pkey", "webhook_secrets", SECRET | {"owner_id": "'{endpoint}'"}),
    ("webhook_secrets_previous_ends", "webhook_secrets", SECRET | {"previous_sealed": "'s'"}),
    ("webhook_secrets_previous_ends", "webhook_secrets", SECRET | {"previous_until": "now()"}),
    ("webhook_cursor_pkey", "webhook_cursor", CURSOR | {"is_only": "true"}),
    ("webhook_cursor_is_one", "webhook_cursor", CURSOR | {"is_only": "false"}),
    ("webhook_deliveries_pkey", "webhook_deliveries", DELIVERY | {"id": "'{delivery}'"}),
    ("webhook_deliveries_key_exists", "webhook_deliveries", DELIVERY | {"key_id": "'{new}'"}),
    ("webhook_deliveries_endpoint_exists", "webhook_deliveries", DELIVERY | {"endpoint_id": "'{new}'"}),
    ("webhook_deliveries_to_endpoint_or_callback", "webhook_deliveries", CALLBACK | {"endpoint_id": "'{endpoint}'"}),
    ("webhook_deliveries_state_known", "webhook_deliveries", DELIVERY | {"state": "'lost'"} | ENDED),
    ("webhook_deliveries_state_known", "webhook_deliveries", DELIVERY | {"state": "'pending'"} | ENDED),
    ("webhook_deliveries_state_known", "webhook_deliveries", DELIVERY | {"state": "'succeeded'"}),
    ("webhook_deliveries_state_known", "webhook_deliveries", DELIVERY | {"state": "'failed'"}),
    ("webhook_deliveries_state_known", "webhook_deliveries", DELIVERY | {"state": "'canceled'"}),
    ("webhook_totals_pkey", "webhook_totals", TOTAL | {"outcome": "'failed'"}),
    ("legacy_ids_pkey", "legacy_ids", LEGACY | {"kind": "'customer'"}),
    ("legacy_ids_by_id", "legacy_ids", LEGACY | {"id": "'{customer}'"}),
    ("legacy_ids_kind_known", "legacy_ids", LEGACY | {"kind": "'job'"}),
    ("imports_pkey", "imports", IMPORT | {"id": "'{customer}'"}),
    ("imports_digest_unique", "imports", IMPORT | {"digest": "'taken'"}),
    ("imports_kind_known", "imports", IMPORT | {"kind": "'jobs'"}),
]
BY_TRIGGER = {
    "entries_balanced",
    "entries_wallet_exists",
    "entries_transaction_exists",
    "transactions_job_exists",
}
GOOD = [
    ("customers", CUSTOMER),
    ("wallets", WALLET),
    ("wallets", WALLET | {"state": "'frozen'", "balance": "1"}),
    ("wallets", WALLET | {"state": "'frozen'", "frozen_alone": "true"}),
    ("wallets", WALLET | {"state": "'closed'"}),
    ("wallets", SYSTEM),
    ("jobs", JOB),
    ("transactions", TRANSACTION),
    ("blocks", BLOCK),
    ("operator_actions", ACTION),
    ("operator_actions", ACTION | {"job_id": "NULL"}),
    ("leases", LEASE),
    ("sessions", SESSION),
    ("refresh_tokens", TOKEN),
    ("api_keys", KEY),
    ("events", EVENT),
    ("events", TOLD),
    ("webhook_endpoints", ENDPOINT),
    ("webhook_endpoints", ENDPOINT | {"enabled": "false", "disabled_reason": "'r'"}),
    ("webhook_secrets", SECRET),
    ("webhook_secrets", SECRET | {"previous_sealed": "'s'", "previous_until": "now()"}),
    ("webhook_deliveries", DELIVERY),
    ("webhook_deliveries", DELIVERY | {"state": "'succeeded'"} | ENDED),
    ("webhook_deliveries", CALLBACK),
    ("webhook_totals", TOTAL),
    ("legacy_ids", LEGACY),
    ("imports", IMPORT),
]


@pytest.fixture
def insert(tx: Connection) -> Callable[[str, dict[str, str]], None]:
    """Return a function that inserts a row of SQL literals, beside one good row of each table."""
    ids = rows(tx)

    def insert(table: str, row: dict[str, str]) -> None:
        values = ", ".join(row.values()).format(**ids)
        tx.exec_driver_sql(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})")  # noqa: S608 - our literals

    return insert


def rows(tx: Connection) -> dict[str, Any]:
    customer = UUID(int=1)
    db.customers.insert(tx, {customer: made.registration("ada")})
    wallet, other_wallet = made.wallet(tx, customer), made.wallet(tx, customer)
    transaction = made.deposit(tx, wallet, 5_00)
    job = made.job(tx, Kind.TRANSFER_CREATE, caller="c", key="taken")
    names = ("new", "lease", "session", "key")
    ids: dict[str, Any] = {name: uuid7() for name in names} | {"customer": customer, "wallet": wallet, "job": job}
    tx.execute(db.tables.leases.insert().values(id=ids["lease"], job_ids=[]))
    tx.execute(db.tables.sessions.insert().values(id=ids["session"], customer_id=customer, expires_at=made.POSTED_AT))
    tx.execute(db.tables.refresh_tokens.insert().values(digest=b"taken", session_id=ids["session"]))
    tx.execute(db.tables.api_keys.insert().values(id=ids["key"], name="n", digest=b"taken", scopes=[]))
    tx.execute(db.tables.legacy_ids.insert().values(kind="customer", legacy_id="taken", id=customer))
    tx.execute(db.tables.imports.insert().values(id=customer, digest=b"taken", kind="customers", file_name="c.csv"))
    taken = {"id": customer, "actor": "a", "action": "key.create", "object": "o", "job_id": job}
    tx.execute(db.tables.operator_actions.insert().values(**taken))
    number = tx.scalar(text("SELECT number FROM wallets WHERE id = :id"), {"id": wallet})
    endpoint, event = made.endpoint(tx, ids["key"]), made.event(tx)
    ids |= {"endpoint": endpoint, "event": event, "delivery": made.delivery(tx, endpoint, event)}
    return ids | {"other_wallet": other_wallet, "transaction": transaction, "number": number}


@pytest.mark.parametrize(("constraint", "table", "row"), BROKEN)
def test_a_row_that_breaks_a_rule_is_refused_by_the_rules_name(
    insert: Callable[[str, dict[str, str]], None], constraint: str, table: str, row: dict[str, str]
) -> None:
    with refused_by(of_partition(constraint)):
        insert(table, row)


def of_partition(constraint: str) -> str:
    """Return what the constraint is called in the partition that a row of now belongs to: keys have a name in each."""
    table = constraint.removesuffix("_pkey")
    month = datetime.now(UTC).strftime("_%Y_%m")
    return f"{table}{month}_pkey" if table in {"events", "webhook_deliveries"} else constraint


@pytest.mark.parametrize(("table", "row"), GOOD)
def test_the_same_row_without_the_fault_is_taken(
    insert: Callable[[str, dict[str, str]], None], table: str, row: dict[str, str]
) -> None:
    insert(table, row)


def test_every_constraint_of_the_tables_is_broken_above() -> None:
    names = {constraint.name for table in db.tables.metadata.tables.values() for constraint in table.constraints}
    tested = {name for name, _, _ in BROKEN}
    assert tested == names | BY_TRIGGER
