"""Tell a new endpoint of what is under way, and let an event's id say nothing of its job's.

An event whose transaction had begun before its endpoint was made, and ended after, was told by nobody. An event's id had
half of its job's in it, which cursors of the feed showed to others. While indexes are built, about a second for a
million deliveries, webhooks wait; money does not.
"""

from alembic import op

revision = "2026_11_24_1400"
down_revision = "2026_11_23_0900"
branch_labels = None
depends_on = None

# Events are found by their transaction's number. The oldest number that still runs is a lower bound of all that is not
# committed yet. Batches of money read this table, so that its lock comes last and is short.
SINCE = """
    ALTER TABLE webhook_endpoints ALTER COLUMN since_xact_id
        SET DEFAULT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint);
"""
SINCE_BEFORE = """
    ALTER TABLE webhook_endpoints ALTER COLUMN since_xact_id
        SET DEFAULT CAST(CAST(pg_current_xact_id() AS text) AS bigint);
"""

# Lists of what failed or was canceled, and of rare types, do not read through all that arrived.
LISTS = """
    CREATE INDEX webhook_deliveries_ended_badly ON webhook_deliveries (state, id) WHERE state IN ('failed', 'canceled');
    CREATE INDEX webhook_deliveries_by_type ON webhook_deliveries (key_id, event_type, id);
    DROP INDEX webhook_deliveries_failed;
"""
LISTS_BEFORE = """
    CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (id) WHERE state = 'failed';
    DROP INDEX webhook_deliveries_ended_badly, webhook_deliveries_by_type;
"""


def uuid7(tail: str) -> str:
    """Return the function whose last eight bytes are `tail`."""
    return f"""
        CREATE OR REPLACE FUNCTION uuid7(at timestamptz, random uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
            SELECT CAST(encode(
                substring(int8send(CAST(date_part('epoch', at) * 1000000 AS bigint) / 1000) FROM 3)
                    || substring(int4send(28672 + CAST(CAST(date_part('epoch', at) * 1000000 AS bigint) % 1000 AS int)) FROM 3)
                    || {tail}, 'hex') AS uuid)
        $$;
    """  # noqa: S608 - constants


def events_of_jobs(seed: str) -> str:
    """Return the trigger's function, which makes an event's id of `seed` and its time."""
    return f"""
        CREATE OR REPLACE FUNCTION record_job_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = public, pg_temp AS $$
        BEGIN
            INSERT INTO events (id, type, occurred_at, job_id, caller, callback_url, data)
            SELECT uuid7(finished_at, {seed}), job_event_type(kind, state), finished_at, id, caller, callback_url,
                   CASE state WHEN 'failed' THEN jsonb_build_object(
                       'id', id, 'kind', kind, 'state', state, 'created_at', created_at, 'finished_at', finished_at,
                       'result', result, 'error', error)
                       || CASE WHEN progress IS NULL THEN '{{}}' ELSE jsonb_build_object('progress', progress) END END
              FROM changed WHERE state <> 'queued';
            IF EXISTS (SELECT FROM changed WHERE kind = 'customer.register') THEN
                INSERT INTO events (id, type, occurred_at, job_id, caller)
                SELECT uuid7(finished_at + interval '1 microsecond', {seed}), 'wallet.opened', finished_at, id, caller
                  FROM changed WHERE kind = 'customer.register' AND state = 'succeeded' AND result ? 'wallet_id';
            END IF;
            RETURN NULL;
        END $$;
    """  # noqa: S608 - constants


# The variant's two bits (RFC 9562, section 4.1) are set, whatever the seed has there.
TAIL = "set_byte(substring(uuid_send(random) FROM 9), 0, (get_byte(uuid_send(random), 8) & 63) | 128)"
TAIL_BEFORE = "substring(uuid_send(random) FROM 9)"
# The fingerprint is a keyed hash that nobody is shown: without it, a job's id could be searched for by its event's.
SEED = "CAST(encode(substring(sha256(uuid_send(id) || fingerprint) FOR 16), 'hex') AS uuid)"
SEED_BEFORE = "id"


def upgrade() -> None:
    op.execute(LISTS)
    op.execute(uuid7(TAIL))
    op.execute(events_of_jobs(SEED))
    op.execute(SINCE)


def downgrade() -> None:
    op.execute(LISTS_BEFORE)
    op.execute(events_of_jobs(SEED_BEFORE))
    op.execute(uuid7(TAIL_BEFORE))
    op.execute(SINCE_BEFORE)
