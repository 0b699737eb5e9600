"""The tables, as SQLAlchemy Core knows them. Triggers, functions and privileges stand in the migrations.

Every constraint has a name that a person chose, because errors and tests speak of it. Amounts are
minor units; timestamps have a zone; ids are UUIDv7, so that their order is the order of arrival.
"""

from sqlalchemy import (
    ARRAY,
    TIMESTAMP,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    Index,
    Integer,
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
THIS_XACT = text("((pg_current_xact_id())::text)::bigint")
OLDEST_XACT = text("((pg_snapshot_xmin(pg_current_snapshot()))::text)::bigint")
Timestamp = TIMESTAMP(timezone=True)

NO_TRANSFER_JOB = text("kind <> 'transfer.create'")
ENDED_BADLY = text("state IN ('rejected', 'failed', 'canceled')")
UNDELIVERED = text("state IN ('failed', 'canceled')")

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
    Column("state", Text, nullable=False, server_default="open"),
    PrimaryKeyConstraint("id", name="customers_pkey"),
    UniqueConstraint("email", name="customers_email_unique"),
    UniqueConstraint("national_id_index", name="customers_national_id_unique"),
    CheckConstraint("email = lower(email)", name="customers_email_lower"),
    CheckConstraint("gender IN ('M', 'F')", name="customers_gender_known"),
    CheckConstraint("state IN ('open', 'frozen', 'closed')", name="customers_state_known"),
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
    Column("frozen_alone", Boolean, nullable=False, server_default=text("false")),  # Not only with its customer.
    Column("spent", ARRAY(BigInteger)),  # What has gone out: `domain.velocity.Spent`.
    PrimaryKeyConstraint("id", name="wallets_pkey"),
    UniqueConstraint("number", name="wallets_number_unique"),
    CheckConstraint("balance BETWEEN balance_min AND balance_max", name="wallets_balance_within_bounds"),
    CheckConstraint("held >= 0 AND balance - held >= balance_min", name="wallets_held_is_covered"),
    CheckConstraint("state IN ('open', 'frozen', 'closed')", name="wallets_state_known"),
    CheckConstraint("state = 'frozen' OR NOT frozen_alone", name="wallets_frozen_alone_is_frozen"),
    CheckConstraint("state <> 'closed' OR (balance = 0 AND held = 0)", name="wallets_closed_are_empty"),
    CheckConstraint("cardinality(spent) = 5", name="wallets_spent_is_five_numbers"),
    CheckConstraint(
        "CASE WHEN type IN ('cash_in', 'cash_out', 'fees', 'opening') "
        "THEN customer_id IS NULL AND folded_before IS NOT NULL "
        "WHEN type IN ('personal', 'saving', 'loan') THEN customer_id IS NOT NULL AND number IS NOT NULL "
        "ELSE false END",
        name="wallets_type_known",
    ),
    Index("wallets_by_customer", "customer_id", "id"),
    # Balances change all the time and are in no index: room in the page makes that a heap-only update.
    postgresql_with={"fillfactor": "70"},
)

# Of customers who have several wallets of the currency: a trigger makes the row when the second one is opened.
customer_velocity = Table(
    "customer_velocity",
    metadata,
    Column("customer_id", Uuid, ForeignKey("customers.id", name="customer_velocity_customer_exists"), nullable=False),
    Column("currency", Text, nullable=False),
    Column("spent", ARRAY(BigInteger)),
    PrimaryKeyConstraint("customer_id", "currency", name="customer_velocity_pkey"),
    CheckConstraint("cardinality(spent) = 5", name="customer_velocity_spent_is_five_numbers"),
    postgresql_with={"fillfactor": "70"},  # As of wallets.
)

transactions = Table(
    "transactions",
    metadata,
    Column("id", Uuid, nullable=False),  # The job's, unless it is of a bulk; an opening balance has no job.
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
    Column("job_id", Uuid),  # Of a bulk; otherwise the job has the transaction's id.
    Column("xact_id", BigInteger, server_default=THIS_XACT),  # Its place in the chain. None: from before there was one.
    PrimaryKeyConstraint("id", name="transactions_pkey"),
    CheckConstraint("amount > 0", name="transactions_amount_positive"),
    CheckConstraint(
        "CASE kind WHEN 'deposit' THEN source_wallet_id IS NULL AND destination_wallet_id IS NOT NULL "
        "WHEN 'opening' THEN source_wallet_id IS NULL AND destination_wallet_id IS NOT NULL "
        "WHEN 'withdrawal' THEN source_wallet_id IS NOT NULL AND destination_wallet_id IS NULL "
        "WHEN 'transfer' THEN source_wallet_id IS NOT NULL AND destination_wallet_id IS NOT NULL "
        "AND source_wallet_id <> destination_wallet_id ELSE false END",
        name="transactions_kind_known",
    ),
    Index("transactions_in_order", "posted_at", "id"),
    Index("transactions_by_xact", "xact_id", postgresql_where=text("xact_id IS NOT NULL")),
    Index("transactions_of_cash", "kind", "posted_at", "id", postgresql_where=text("kind <> 'transfer'")),
)

# The chain of transactions; see `db.chain`.
blocks = Table(
    "blocks",
    metadata,
    Column("number", BigInteger, nullable=False, autoincrement=False),
    Column("before_xact_id", BigInteger, nullable=False),  # It covers those from the block before up to and without it.
    Column("transactions", BigInteger, nullable=False),  # Up to its end, of all blocks.
    Column("digest", LargeBinary, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("sealed_at", Timestamp, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("number", name="blocks_pkey"),
    CheckConstraint("transactions >= 0", name="blocks_transactions_counted"),
    CheckConstraint("length(digest) = 32 AND length(head) = 32", name="blocks_hashes_are_sha256"),
)

# Without foreign keys: a trigger asks for the wallets and transactions of all entries of a statement at once.
entries = Table(
    "entries",
    metadata,
    Column("wallet_id", Uuid, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("transaction_id", Uuid, nullable=False),
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
    Column("callback_url", Text),  # Where this job's end is told, beside endpoints.
    Column("progress", JSONB),  # Of a job that has many parts.
    Column("trace_context", Text),  # Of a request that was traced.
    Column("items", Integer),  # How many a bulk has; a batch counts them.
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
    Index("jobs_in_turn", "caller", "queue", "id", postgresql_where=text("state = 'queued'")),
    Index("jobs_by_caller", "caller", "id"),
    # For lists of what is rare, which cost nothing where it is not met.
    Index("jobs_of_other_kinds", "kind", "id", postgresql_where=NO_TRANSFER_JOB),
    Index("jobs_of_other_kinds_by_caller", "caller", "kind", "id", postgresql_where=NO_TRANSFER_JOB),
    Index("jobs_ended_badly", "state", "id", postgresql_where=ENDED_BADLY),
    Index("jobs_ended_badly_by_kind", "state", "kind", "id", postgresql_where=ENDED_BADLY),
    Index("jobs_ended_badly_by_caller", "caller", "state", "kind", "id", postgresql_where=ENDED_BADLY),
    # Every job is rewritten once: vacuum after 2 % instead of 20 %, or claims wade through dead index entries.
    postgresql_with={"autovacuum_vacuum_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.05"},
)

# What the previous platform called a customer or a wallet that came from it.
legacy_ids = Table(
    "legacy_ids",
    metadata,
    Column("kind", Text, nullable=False),
    Column("legacy_id", Text, nullable=False),
    Column("id", Uuid, nullable=False),
    PrimaryKeyConstraint("kind", "legacy_id", name="legacy_ids_pkey"),
    UniqueConstraint("id", name="legacy_ids_by_id"),
    CheckConstraint("kind IN ('customer', 'wallet')", name="legacy_ids_kind_known"),
)

# Files, and how far each has come.
imports = Table(
    "imports",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the file: it is known again whatever its name.
    Column("kind", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("position", BigInteger, nullable=False, server_default="0"),  # Bytes of the file that are done.
    Column("row_number", BigInteger, nullable=False, server_default="1"),  # The last row that is done; 1: the header.
    Column("reject_bytes", BigInteger, nullable=False, server_default="0"),  # Of the reject file, up to there.
    Column("imported", BigInteger, nullable=False, server_default="0"),
    Column("rejected", BigInteger, nullable=False, server_default="0"),
    Column("totals", JSONB, nullable=False, server_default=text("'{}'::jsonb")),  # Of the imported rows.
    Column("created_at", Timestamp, nullable=False, server_default=NOW),
    Column("finished_at", Timestamp),
    PrimaryKeyConstraint("id", name="imports_pkey"),
    UniqueConstraint("digest", name="imports_digest_unique"),
    CheckConstraint("kind IN ('customers', 'wallets')", name="imports_kind_known"),
)

# What operators did: each entry is written with the action itself.
operator_actions = Table(
    "operator_actions",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("at", Timestamp, nullable=False, server_default=NOW),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("job_id", Uuid),
    PrimaryKeyConstraint("id", name="operator_actions_pkey"),
    UniqueConstraint("job_id", name="operator_actions_once_per_job"),
    Index("operator_actions_by_action", "action", "id"),
    Index("operator_actions_by_object", "object", "id"),
    Index("operator_actions_by_object_and_action", "object", "action", "id"),
)

leases = Table(
    "leases",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("job_ids", ARRAY(Uuid), nullable=False),
    Column("taken_at", Timestamp, nullable=False, server_default=NOW),
    Column("attempts", SmallInteger),  # Of each of its jobs when it was taken.
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
    Column("place", Text),
    PrimaryKeyConstraint("id", name="sessions_pkey"),
    Index("sessions_by_expiry", "expires_at"),
    Index("sessions_by_place", "place"),
    Index("sessions_by_customer", "customer_id", postgresql_where=text("revoked_at IS NULL")),
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

# Written by a trigger on jobs. Without a foreign key: the trigger has the job in its hands. In partitions by month, as
# deliveries are.
events = Table(
    "events",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("occurred_at", Timestamp, nullable=False),
    Column("job_id", Uuid),
    Column("caller", Text, nullable=False),  # Whose job it was, or whose webhook endpoint.
    Column("callback_url", Text),
    Column("data", JSONB),  # None: the job as it stands, which is final.
    Column("xact_id", BigInteger, nullable=False, server_default=THIS_XACT),  # The order in which events are told.
    PrimaryKeyConstraint("id", name="events_pkey"),
    CheckConstraint(
        "CASE WHEN job_id IS NULL THEN type LIKE 'webhook%' AND data IS NOT NULL AND callback_url IS NULL "
        "ELSE type NOT LIKE 'webhook%' END",
        name="events_told_by_a_job_or_by_webhooks",
    ),
    Index("events_in_order", "xact_id", "id"),
    Index("events_with_callback", "xact_id", "id", postgresql_where=text("callback_url IS NOT NULL")),
    postgresql_partition_by="RANGE (id)",
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("key_id", Uuid, ForeignKey("api_keys.id", name="webhook_endpoints_key_exists"), nullable=False),
    Column("url", Text, nullable=False),
    Column("event_types", ARRAY(Text), nullable=False),
    Column("description", Text),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("disabled_reason", Text),
    Column("failing_since", Timestamp),  # The first failure after the latest success.
    Column("paused_until", Timestamp),  # Its receiver asked for it, by Retry-After.
    Column("since_xact_id", BigInteger, nullable=False, server_default=OLDEST_XACT),  # Earlier events are not told.
    Column("created_at", Timestamp, nullable=False, server_default=NOW),
    Column("deleted_at", Timestamp),
    PrimaryKeyConstraint("id", name="webhook_endpoints_pkey"),
    CheckConstraint(
        "CASE WHEN enabled THEN disabled_reason IS NULL AND deleted_at IS NULL ELSE disabled_reason IS NOT NULL END",
        name="webhook_endpoints_enabled_or_why",
    ),
    Index("webhook_endpoints_by_key", "key_id", "id", postgresql_where=text("deleted_at IS NULL")),
    Index("webhook_endpoints_enabled", "id", postgresql_where=text("enabled")),
)

# What endpoints sign with, and what API keys sign callbacks with.
webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("owner_id", Uuid, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("previous_sealed", Text),
    Column("previous_until", Timestamp),
    PrimaryKeyConstraint("owner_id", name="webhook_secrets_pkey"),
    CheckConstraint("(previous_sealed IS NULL) = (previous_until IS NULL)", name="webhook_secrets_previous_ends"),
)

# One row: up to which event deliveries have been made.
webhook_cursor = Table(
    "webhook_cursor",
    metadata,
    Column("is_only", Boolean, nullable=False, server_default=text("true")),
    Column("xact_id", BigInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    PrimaryKeyConstraint("is_only", name="webhook_cursor_pkey"),
    CheckConstraint("is_only", name="webhook_cursor_is_one"),
    postgresql_with={"fillfactor": "10"},  # Updated for each batch of events: all versions stay in one page.
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("key_id", Uuid, ForeignKey("api_keys.id", name="webhook_deliveries_key_exists"), nullable=False),
    Column("endpoint_id", Uuid, ForeignKey("webhook_endpoints.id", name="webhook_deliveries_endpoint_exists")),
    Column("callback_url", Text),
    # What goes to one receiver: an endpoint's deliveries, or a key's callbacks to one host.
    Column(
        "lane_id",
        Uuid,
        Computed(
            "COALESCE(endpoint_id, (md5(((key_id)::text ||"
            " COALESCE(\"substring\"(callback_url, '//[^/?#]+'::text), ''::text))))::uuid)",
            persisted=True,
        ),
        nullable=False,
    ),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("due_at", Timestamp, nullable=False, server_default=NOW),  # While it is under way: when its lease ends.
    Column("leased_until", Timestamp),  # While it is under way.
    Column("fence", BigInteger, nullable=False, server_default="0"),  # Counts leases: an overtaken worker is ignored.
    Column("attempts", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("created_at", Timestamp, nullable=False, server_default=NOW),
    Column("finished_at", Timestamp),
    PrimaryKeyConstraint("id", name="webhook_deliveries_pkey"),
    CheckConstraint(
        "(endpoint_id IS NULL) = (callback_url IS NOT NULL)", name="webhook_deliveries_to_endpoint_or_callback"
    ),
    CheckConstraint(
        "CASE WHEN state = 'pending' THEN finished_at IS NULL "
        "ELSE state IN ('succeeded', 'failed', 'canceled') AND finished_at IS NOT NULL END",
        name="webhook_deliveries_state_known",
    ),
    Index("webhook_deliveries_pending", "lane_id", "due_at", postgresql_where=text("state = 'pending'")),
    Index("webhook_deliveries_by_endpoint", "endpoint_id", "id"),
    Index("webhook_deliveries_by_key", "key_id", "id"),
    Index("webhook_deliveries_by_type", "key_id", "event_type", "id"),
    Index("webhook_deliveries_waiting", "id", postgresql_where=text("state = 'pending'")),
    Index("webhook_deliveries_by_type_only", "event_type", "id"),
    Index("webhook_deliveries_ended_badly", "state", "id", postgresql_where=UNDELIVERED),
    Index("webhook_deliveries_ended_badly_by_key", "key_id", "state", "id", postgresql_where=UNDELIVERED),
    Index("webhook_deliveries_ended_badly_by_endpoint", "endpoint_id", "state", "id", postgresql_where=UNDELIVERED),
    Index("webhook_deliveries_by_event", "event_id", "endpoint_id"),
    postgresql_partition_by="RANGE (id)",
)

webhook_totals = Table(
    "webhook_totals",
    metadata,
    Column("outcome", Text, nullable=False),
    Column("deliveries", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("outcome", name="webhook_totals_pkey"),
    postgresql_with={"fillfactor": "10"},
)
