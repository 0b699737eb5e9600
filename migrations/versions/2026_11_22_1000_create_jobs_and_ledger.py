"""Create jobs, customers, wallets and the ledger, and the two roles that may use them.

The API's role can accept jobs, read, and keep its sessions; it has no privilege to move money. The
workers' role can finish jobs and post; nobody can edit what was posted.
"""

from alembic import op

revision = "2026_11_22_1000"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE customers (
    id uuid CONSTRAINT customers_pkey PRIMARY KEY,
    full_name text NOT NULL,
    email text NOT NULL CONSTRAINT customers_email_unique UNIQUE
        CONSTRAINT customers_email_lower CHECK (email = lower(email)),
    national_id_sealed text NOT NULL,
    national_id_index text NOT NULL CONSTRAINT customers_national_id_unique UNIQUE,
    phone_sealed text,
    phone_index text,
    gender text CONSTRAINT customers_gender_known CHECK (gender IN ('M', 'F')),
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE wallets (
    id uuid CONSTRAINT wallets_pkey PRIMARY KEY,
    number text CONSTRAINT wallets_number_unique UNIQUE,
    customer_id uuid CONSTRAINT wallets_customer_exists REFERENCES customers,
    type text NOT NULL,
    currency text NOT NULL,
    state text NOT NULL DEFAULT 'open'
        CONSTRAINT wallets_state_known CHECK (state IN ('open', 'frozen', 'closed')),
    balance bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    balance_min bigint NOT NULL DEFAULT 0,
    balance_max bigint NOT NULL,
    sequence bigint NOT NULL DEFAULT 0,
    seal bytea NOT NULL DEFAULT ''::bytea,
    folded_before bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT wallets_balance_within_bounds CHECK (balance BETWEEN balance_min AND balance_max),
    CONSTRAINT wallets_held_is_covered CHECK (held >= 0 AND balance - held >= balance_min),
    CONSTRAINT wallets_type_known CHECK (
        CASE WHEN type IN ('cash_in', 'cash_out', 'fees') THEN customer_id IS NULL AND folded_before IS NOT NULL
             WHEN type IN ('personal', 'saving', 'loan') THEN customer_id IS NOT NULL AND number IS NOT NULL
             ELSE false END)
) WITH (fillfactor = 70);
CREATE INDEX wallets_by_customer ON wallets (customer_id, id);
CREATE SEQUENCE wallet_numbers;

CREATE TABLE jobs (
    id uuid CONSTRAINT jobs_pkey PRIMARY KEY,
    kind text NOT NULL,
    queue text NOT NULL,
    state text NOT NULL DEFAULT 'queued',
    caller text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint bytea NOT NULL,
    payload jsonb NOT NULL,
    result jsonb,
    error jsonb,
    attempts smallint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT jobs_idempotency_key_unique UNIQUE (caller, idempotency_key),
    CONSTRAINT jobs_state_known CHECK (
        CASE state WHEN 'queued' THEN finished_at IS NULL AND result IS NULL AND error IS NULL
                   WHEN 'succeeded' THEN finished_at IS NOT NULL AND result IS NOT NULL AND error IS NULL
                   WHEN 'rejected' THEN finished_at IS NOT NULL AND result IS NULL AND error IS NOT NULL
                   WHEN 'failed' THEN finished_at IS NOT NULL AND result IS NULL AND error IS NOT NULL
                   WHEN 'canceled' THEN finished_at IS NOT NULL AND result IS NULL AND error IS NULL
                   ELSE false END)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX jobs_queued ON jobs (queue, id) WHERE state = 'queued';
CREATE INDEX jobs_open ON jobs (caller) WHERE state = 'queued';
CREATE INDEX jobs_failed ON jobs (id) WHERE state = 'failed';
CREATE INDEX jobs_by_caller ON jobs (caller, id);

CREATE TABLE leases (
    id uuid CONSTRAINT leases_pkey PRIMARY KEY,
    job_ids uuid[] NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE transactions (
    id uuid CONSTRAINT transactions_pkey PRIMARY KEY CONSTRAINT transactions_job_exists REFERENCES jobs,
    kind text NOT NULL,
    amount bigint NOT NULL CONSTRAINT transactions_amount_positive CHECK (amount > 0),
    currency text NOT NULL,
    source_wallet_id uuid,
    destination_wallet_id uuid,
    description text,
    external_reference text,
    metadata jsonb,
    posted_at timestamptz NOT NULL,
    seal bytea NOT NULL,
    CONSTRAINT transactions_kind_known CHECK (
        CASE kind WHEN 'deposit' THEN source_wallet_id IS NULL AND destination_wallet_id IS NOT NULL
                  WHEN 'withdrawal' THEN source_wallet_id IS NOT NULL AND destination_wallet_id IS NULL
                  WHEN 'transfer' THEN source_wallet_id IS NOT NULL AND destination_wallet_id IS NOT NULL
                                       AND source_wallet_id <> destination_wallet_id
                  ELSE false END)
);

CREATE TABLE entries (
    wallet_id uuid NOT NULL CONSTRAINT entries_wallet_exists REFERENCES wallets,
    sequence bigint NOT NULL,
    transaction_id uuid NOT NULL CONSTRAINT entries_transaction_exists REFERENCES transactions,
    amount bigint NOT NULL CONSTRAINT entries_amount_not_zero CHECK (amount <> 0),
    balance_after bigint,
    xact_id bigint,
    seal bytea NOT NULL,
    CONSTRAINT entries_pkey PRIMARY KEY (wallet_id, sequence),
    CONSTRAINT entries_once_per_transaction UNIQUE (wallet_id, transaction_id),
    CONSTRAINT entries_balance_or_fold CHECK ((balance_after IS NULL) = (xact_id IS NOT NULL))
);
CREATE INDEX entries_to_fold ON entries (wallet_id, xact_id) WHERE xact_id IS NOT NULL;
CREATE SEQUENCE system_entries;

CREATE TABLE sessions (
    id uuid CONSTRAINT sessions_pkey PRIMARY KEY,
    customer_id uuid NOT NULL CONSTRAINT sessions_customer_exists REFERENCES customers,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    digest bytea CONSTRAINT refresh_tokens_pkey PRIMARY KEY,
    session_id uuid NOT NULL CONSTRAINT refresh_tokens_session_exists REFERENCES sessions ON DELETE CASCADE,
    used_at timestamptz
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

CREATE TABLE api_keys (
    id uuid CONSTRAINT api_keys_pkey PRIMARY KEY,
    name text NOT NULL,
    digest bytea NOT NULL CONSTRAINT api_keys_digest_unique UNIQUE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
"""

# One statement holds whole transactions, so that a check per statement sees both sides of each: a
# deferred trigger per row costs a query per entry.
RULES = """
CREATE FUNCTION refuse_unbalanced_entries() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    guilty uuid;
BEGIN
    SELECT posted.transaction_id INTO guilty
      FROM posted
      JOIN transactions ON transactions.id = posted.transaction_id
      JOIN wallets ON wallets.id = posted.wallet_id
     GROUP BY posted.transaction_id
    HAVING sum(posted.amount) <> 0 OR bool_or(wallets.currency <> transactions.currency)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entries of transaction % do not sum to zero in its currency', guilty
            USING ERRCODE = 'check_violation', CONSTRAINT = 'entries_balanced';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entries_balanced AFTER INSERT ON entries
    REFERENCING NEW TABLE AS posted FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced_entries();

CREATE FUNCTION refuse_history_edits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: post a correction instead', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END $$;
CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_history_edits();
CREATE TRIGGER transactions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_history_edits();

CREATE FUNCTION refuse_job_edits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'job % cannot go from % to %', NEW.id, OLD.state, NEW.state
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'jobs_finished_is_final';
END $$;
CREATE TRIGGER jobs_finished_is_final BEFORE UPDATE ON jobs FOR EACH ROW
    WHEN (OLD.state NOT IN ('queued', 'failed') OR (OLD.state = 'failed' AND NEW.state <> 'queued'))
    EXECUTE FUNCTION refuse_job_edits();

CREATE FUNCTION cancel_job(job uuid) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE jobs
       SET state = 'canceled', finished_at = now(),
           payload = CASE WHEN kind = 'customer.register' THEN '{}' ELSE payload END
     WHERE id = job AND state = 'queued';
    RETURN FOUND;
END $$;
REVOKE EXECUTE ON FUNCTION cancel_job FROM PUBLIC;
"""

ROLES = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tekana_api') THEN CREATE ROLE tekana_api; END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tekana_worker') THEN CREATE ROLE tekana_worker; END IF;
END $$;
GRANT SELECT ON customers, wallets, transactions, entries, jobs, sessions, refresh_tokens, api_keys TO tekana_api;
GRANT INSERT (id, kind, queue, caller, idempotency_key, fingerprint, payload) ON jobs TO tekana_api;
GRANT INSERT ON sessions, refresh_tokens TO tekana_api;
GRANT UPDATE ON sessions, refresh_tokens TO tekana_api;
GRANT EXECUTE ON FUNCTION cancel_job TO tekana_api;

GRANT SELECT ON customers, wallets, transactions, entries, jobs, leases, sessions TO tekana_worker;
GRANT INSERT ON customers, wallets, transactions, entries, leases TO tekana_worker;
GRANT UPDATE ON wallets, jobs, leases TO tekana_worker;
GRANT DELETE ON leases, sessions TO tekana_worker;
GRANT USAGE ON SEQUENCE wallet_numbers, system_entries TO tekana_worker;
"""


def upgrade() -> None:
    for script in (TABLES, RULES, ROLES):
        op.execute(script)


def downgrade() -> None:
    """Drop everything but the roles, which other databases of the server may use."""
    op.execute(
        "DROP TABLE api_keys, refresh_tokens, sessions, entries, transactions, leases, jobs, wallets, customers;"
        "DROP SEQUENCE wallet_numbers, system_entries;"
        "DROP FUNCTION refuse_unbalanced_entries, refuse_history_edits, refuse_job_edits, cancel_job;"
    )
