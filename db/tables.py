"""The tables, as SQLAlchemy Core knows them. Triggers, functions and privileges stand in the migrations.

Every constraint has a name that a person chose, because errors and tests speak of it. Amounts are
minor units; timestamps have a zone; ids are UUIDv7, so that their order is the order of arrival.
"""

from sqlalchemy import (
    ARRAY,
    TIMESTAMP,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

NOW = text("now()")
Timestamp = TIMESTAMP(timezone=True)

customers = Table(
    "customers",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("full_name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("national_id_sealed", Text, nullable=False),
    Column("national_id_index", Text, nullable=False),
    Column("phone_sealed", Text),
    Column("phone_index", Text),
    Column("gender", Text),
    Column("password_hash", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("id", name="customers_pkey"),
    UniqueConstraint("email", name="customers_email_unique"),
    UniqueConstraint("national_id_index", name="customers_national_id_unique"),
    CheckConstraint("email = lower(email)", name="customers_email_lower"),
    CheckConstraint("gender IN ('M', 'F')", name="customers_gender_known"),
)

wallets = Table(
    "wallets",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("number", Text),
    Column("customer_id", Uuid, ForeignKey("customers.id", name="wallets_customer_exists")),
    Column("type", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    Column("balance", BigInteger, nullable=False, server_default="0"),
    Column("held", BigInteger, nullable=False, server_default="0"),
    Column("balance_min", BigInteger, nullable=False, server_default="0"),
    Column("balance_max", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False, server_default="0"),  # Entries so far.
    Column("seal", LargeBinary, nullable=False, server_default=text("''::bytea")),  # Of the latest entry.
    Column("folded_before", BigInteger),  # System wallets: entries of older database transactions are in `balance`.
    Column("created_at", Timestamp, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("id", name="wallets_pkey"),
    UniqueConstraint("number", name="wallets_number_unique"),
    CheckConstraint("balance BETWEEN balance_min AND balance_max", name="wallets_balance_within_bounds"),
    CheckConstraint("held >= 0 AND balance - held >= balance_min", name="wallets_held_is_covered"),
    CheckConstraint("state IN ('open', 'frozen', 'closed')", name="wallets_state_known"),
    CheckConstraint(
        "CASE WHEN type IN ('cash_in', 'cash_out', 'fees') THEN customer_id IS NULL AND folded_before IS NOT NULL "
        "WHEN type IN ('personal', 'saving', 'loan') THEN customer_id IS NOT NULL AND number IS NOT NULL "
        "ELSE false END",
        name="wallets_type_known",
    ),
    Index("wallets_by_customer", "customer_id", "id"),
    # Balances change all the time and are in no index: room in the page makes that a heap-only update.
    postgresql_with={"fillfactor": "70"},
)

transactions = Table(
    "transactions",
    metadata,
    Column("id", Uuid, ForeignKey("jobs.id", name="transactions_job_exists"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("source_wallet_id", Uuid),
    Column("destination_wallet_id", Uuid),
    Column("description", Text),
    Column("external_reference", Text),
    Column("metadata", JSONB),
    Column("posted_at", Timestamp, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    PrimaryKeyConstraint("id", name="transactions_pkey"),
    CheckConstraint("amount > 0", name="transactions_amount_positive"),
    CheckConstraint(
        "CASE kind WHEN 'deposit' THEN source_wallet_id IS NULL AND destination_wallet_id IS NOT NULL "
        "WHEN 'withdrawal' THEN source_wallet_id IS NOT NULL AND destination_wallet_id IS NULL "
        "WHEN 'transfer' THEN source_wallet_id IS NOT NULL AND destination_wallet_id IS NOT NULL "
        "AND source_wallet_id <> destination_wallet_id ELSE false END",
        name="transactions_kind_known",
    ),
)

entries = Table(
    "entries",
    metadata,
    Column("wallet_id", Uuid, ForeignKey("wallets.id", name="entries_wallet_exists"), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("transaction_id", Uuid, ForeignKey("transactions.id", name="entries_transaction_exists"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("balance_after", BigInteger),  # None on a system wallet, whose balance is folded later.
    Column("xact_id", BigInteger),  # System wallets: the database transaction that wrote it, for the fold.
    Column("seal", LargeBinary, nullable=False),
    PrimaryKeyConstraint("wallet_id", "sequence", name="entries_pkey"),
    UniqueConstraint("wallet_id", "transaction_id", name="entries_once_per_transaction"),
    CheckConstraint("amount <> 0", name="entries_amount_not_zero"),
    CheckConstraint("(balance_after IS NULL) = (xact_id IS NOT NULL)", name="entries_balance_or_fold"),
    Index("entries_to_fold", "wallet_id", "xact_id", postgresql_where=text("xact_id IS NOT NULL")),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="queued"),
    Column("caller", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("result", JSONB),
    Column("error", JSONB),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("due_at", Timestamp, nullable=False, server_default=NOW),
    Column("created_at", Timestamp, nullable=False, server_default=NOW),
    Column("finished_at", Timestamp),
    PrimaryKeyConstraint("id", name="jobs_pkey"),
    UniqueConstraint("caller", "idempotency_key", name="jobs_idempotency_key_unique"),
    CheckConstraint(
        "CASE state WHEN 'queued' THEN finished_at IS NULL AND result IS NULL AND error IS NULL "
        "WHEN 'succeeded' THEN finished_at IS NOT NULL AND result IS NOT NULL AND error IS NULL "
        "WHEN 'rejected' THEN finished_at IS NOT NULL AND result IS NULL AND error IS NOT NULL "
        "WHEN 'failed' THEN finished_at IS NOT NULL AND result IS NULL AND error IS NOT NULL "
        "WHEN 'canceled' THEN finished_at IS NOT NULL AND result IS NULL AND error IS NULL ELSE false END",
        name="jobs_state_known",
    ),
    Index("jobs_queued", "queue", "id", postgresql_where=text("state = 'queued'")),
    Index("jobs_open", "caller", postgresql_where=text("state = 'queued'")),
    Index("jobs_failed", "id", postgresql_where=text("state = 'failed'")),
    Index("jobs_by_caller", "caller", "id"),
    # Every job is rewritten once: vacuum after 2 % instead of 20 %, or claims wade through dead index entries.
    postgresql_with={"autovacuum_vacuum_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.05"},
)

leases = Table(
    "leases",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("job_ids", ARRAY(Uuid), nullable=False),
    Column("taken_at", Timestamp, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("id", name="leases_pkey"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("customer_id", Uuid, ForeignKey("customers.id", name="sessions_customer_exists"), nullable=False),
    Column("created_at", Timestamp, nullable=False, server_default=NOW),
    Column("expires_at", Timestamp, nullable=False),
    Column("revoked_at", Timestamp),
    PrimaryKeyConstraint("id", name="sessions_pkey"),
    Index("sessions_by_expiry", "expires_at"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("digest", LargeBinary, nullable=False),
    Column(
        "session_id",
        Uuid,
        ForeignKey("sessions.id", name="refresh_tokens_session_exists", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("used_at", Timestamp),
    PrimaryKeyConstraint("digest", name="refresh_tokens_pkey"),
    Index("refresh_tokens_by_session", "session_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", Timestamp, nullable=False, server_default=NOW),
    Column("expires_at", Timestamp),
    Column("revoked_at", Timestamp),
    PrimaryKeyConstraint("id", name="api_keys_pkey"),
    UniqueConstraint("digest", name="api_keys_digest_unique"),
)
