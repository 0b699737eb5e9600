"""Create events, which PostgreSQL writes when a job ends, and webhooks that tell of them.

Nobody can invent or edit an event of a job: no role may write that column, a trigger of the schema's
owner does. An older release that still runs leaves events too, because they are written for it.
"""

from alembic import op

revision = "2026_11_23_0900"
down_revision = "2026_11_22_1000"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE jobs ADD COLUMN callback_url text, ADD COLUMN progress jsonb;

CREATE TABLE events (
    id uuid CONSTRAINT events_pkey PRIMARY KEY,
    type text NOT NULL,
    occurred_at timestamptz NOT NULL,
    job_id uuid,
    caller text NOT NULL,
    callback_url text,
    data jsonb,
    xact_id bigint NOT NULL DEFAULT CAST(CAST(pg_current_xact_id() AS text) AS bigint),
    CONSTRAINT events_told_by_a_job_or_by_webhooks CHECK (
        CASE WHEN job_id IS NULL THEN type LIKE 'webhook%' AND data IS NOT NULL AND callback_url IS NULL
             ELSE type NOT LIKE 'webhook%' END)
);
CREATE INDEX events_in_order ON events (xact_id, id);
CREATE INDEX events_with_callback ON events (xact_id, id) WHERE callback_url IS NOT NULL;

CREATE TABLE webhook_endpoints (
    id uuid CONSTRAINT webhook_endpoints_pkey PRIMARY KEY,
    key_id uuid NOT NULL CONSTRAINT webhook_endpoints_key_exists REFERENCES api_keys,
    url text NOT NULL,
    event_types text[] NOT NULL,
    description text,
    enabled boolean NOT NULL DEFAULT true,
    disabled_reason text,
    failing_since timestamptz,
    paused_until timestamptz,
    since_xact_id bigint NOT NULL DEFAULT CAST(CAST(pg_current_xact_id() AS text) AS bigint),
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    CONSTRAINT webhook_endpoints_enabled_or_why CHECK (
        CASE WHEN enabled THEN disabled_reason IS NULL AND deleted_at IS NULL ELSE disabled_reason IS NOT NULL END)
);
CREATE INDEX webhook_endpoints_by_key ON webhook_endpoints (key_id, id) WHERE deleted_at IS NULL;
CREATE INDEX webhook_endpoints_enabled ON webhook_endpoints (id) WHERE enabled;

CREATE TABLE webhook_secrets (
    owner_id uuid CONSTRAINT webhook_secrets_pkey PRIMARY KEY,
    sealed text NOT NULL,
    previous_sealed text,
    previous_until timestamptz,
    CONSTRAINT webhook_secrets_previous_ends CHECK ((previous_sealed IS NULL) = (previous_until IS NULL))
);

CREATE TABLE webhook_cursor (
    is_only boolean CONSTRAINT webhook_cursor_pkey PRIMARY KEY DEFAULT true
        CONSTRAINT webhook_cursor_is_one CHECK (is_only),
    xact_id bigint NOT NULL,
    event_id uuid NOT NULL
) WITH (fillfactor = 10);
INSERT INTO webhook_cursor (xact_id, event_id) VALUES (0, '00000000-0000-0000-0000-000000000000');

CREATE TABLE webhook_deliveries (
    id uuid CONSTRAINT webhook_deliveries_pkey PRIMARY KEY,
    event_id uuid NOT NULL CONSTRAINT webhook_deliveries_event_exists REFERENCES events,
    event_type text NOT NULL,
    key_id uuid NOT NULL CONSTRAINT webhook_deliveries_key_exists REFERENCES api_keys,
    endpoint_id uuid CONSTRAINT webhook_deliveries_endpoint_exists REFERENCES webhook_endpoints,
    callback_url text,
    lane_id uuid NOT NULL GENERATED ALWAYS AS (
        coalesce(endpoint_id,
                 CAST(md5(CAST(key_id AS text) || coalesce(substring(callback_url FROM '//[^/?#]+'), '')) AS uuid))) STORED,
    state text NOT NULL DEFAULT 'pending',
    due_at timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz,
    fence bigint NOT NULL DEFAULT 0,
    attempts jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT webhook_deliveries_to_endpoint_or_callback CHECK ((endpoint_id IS NULL) = (callback_url IS NOT NULL)),
    CONSTRAINT webhook_deliveries_state_known CHECK (
        CASE WHEN state = 'pending' THEN finished_at IS NULL
             ELSE state IN ('succeeded', 'failed', 'canceled') AND finished_at IS NOT NULL END)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (lane_id, due_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, id);
CREATE INDEX webhook_deliveries_by_key ON webhook_deliveries (key_id, id);
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (id) WHERE state = 'failed';
CREATE INDEX webhook_deliveries_by_event ON webhook_deliveries (event_id, endpoint_id);

CREATE TABLE webhook_totals (
    outcome text CONSTRAINT webhook_totals_pkey PRIMARY KEY,
    deliveries bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO webhook_totals (outcome) VALUES ('succeeded'), ('retried'), ('failed');
"""

# An id's time is its event's, to the microsecond, so that ids are in the order in which jobs of a batch ended; its other
# bits are the job's, which are random: to draw new ones takes longer than to write the row. A registration that opened
# a wallet has two events, a microsecond apart.
# A failed job may be requeued and end otherwise: its event keeps the job as it was. Any other end is final.
RULES = """
CREATE FUNCTION uuid7(at timestamptz, random uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT CAST(encode(
        substring(int8send(CAST(date_part('epoch', at) * 1000000 AS bigint) / 1000) FROM 3)
            || substring(int4send(28672 + CAST(CAST(date_part('epoch', at) * 1000000 AS bigint) % 1000 AS int)) FROM 3)
            || substring(uuid_send(random) FROM 9), 'hex') AS uuid)
$$;

CREATE FUNCTION job_event_type(kind text, state text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN kind IN ('deposit.create', 'withdrawal.create', 'transfer.create')
                THEN split_part(kind, '.', 1) || '.' || state
                WHEN state <> 'succeeded' THEN 'job.' || state
                WHEN kind = 'customer.register' THEN 'customer.registered'
                WHEN kind = 'wallet.open' THEN 'wallet.opened'
                ELSE 'job.succeeded' END
$$;

CREATE FUNCTION record_job_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO events (id, type, occurred_at, job_id, caller, callback_url, data)
    SELECT uuid7(finished_at, id), job_event_type(kind, state), finished_at, id, caller, callback_url,
           CASE state WHEN 'failed' THEN jsonb_build_object(
               'id', id, 'kind', kind, 'state', state, 'created_at', created_at, 'finished_at', finished_at,
               'result', result, 'error', error)
               || CASE WHEN progress IS NULL THEN '{}' ELSE jsonb_build_object('progress', progress) END END
      FROM changed WHERE state <> 'queued';
    IF EXISTS (SELECT FROM changed WHERE kind = 'customer.register') THEN
        INSERT INTO events (id, type, occurred_at, job_id, caller)
        SELECT uuid7(finished_at + interval '1 microsecond', id), 'wallet.opened', finished_at, id, caller
          FROM changed WHERE kind = 'customer.register' AND state = 'succeeded' AND result ? 'wallet_id';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_events AFTER UPDATE ON jobs
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION record_job_events();

CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_history_edits();
"""

ROLES = """
GRANT INSERT (callback_url) ON jobs TO tekana_api;
GRANT SELECT ON events, webhook_endpoints, webhook_secrets, webhook_deliveries, webhook_cursor, webhook_totals
    TO tekana_api, tekana_worker;
GRANT INSERT (id, type, occurred_at, caller, data) ON events TO tekana_api, tekana_worker;
GRANT INSERT, UPDATE ON webhook_endpoints, webhook_deliveries TO tekana_api;
GRANT INSERT, UPDATE, DELETE ON webhook_secrets TO tekana_api;
GRANT SELECT (id, scopes, expires_at, revoked_at) ON api_keys TO tekana_worker;
GRANT UPDATE (enabled, disabled_reason, failing_since, paused_until) ON webhook_endpoints TO tekana_worker;
GRANT INSERT, UPDATE, DELETE ON webhook_deliveries TO tekana_worker;
GRANT UPDATE ON webhook_cursor, webhook_totals TO tekana_worker;
"""


def upgrade() -> None:
    for script in (TABLES, RULES, ROLES):
        op.execute(script)


def downgrade() -> None:
    op.execute(
        "DROP TRIGGER jobs_events ON jobs;"
        "DROP TABLE webhook_totals, webhook_deliveries, webhook_cursor, webhook_secrets, webhook_endpoints, events;"
        "DROP FUNCTION record_job_events, job_event_type, uuid7;"
        "ALTER TABLE jobs DROP COLUMN callback_url, DROP COLUMN progress;"
    )
