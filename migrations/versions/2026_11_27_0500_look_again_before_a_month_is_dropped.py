"""Look again, under the lock, whether a month that is to be dropped is still needed.

Between the look and the drop, a replay that was not committed yet could add deliveries of the month's events. They were
leased for ever and never sent, and kept every later month from being dropped.
"""

from alembic import op

revision = "2026_11_27_0500"
down_revision = "2026_11_27_0400"
branch_labels = None
depends_on = None

# The first look is free; what is dropped is looked at twice.
ONCE = "NULL;"
# Whoever makes a delivery reads its event in the same transaction, and holds a lock on `events` until its end.
TWICE = """EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', parent);
    EXECUTE looking INTO is_needed;
    IF is_needed THEN
        RETURN NULL;
    END IF;"""
DROP_PARTITION = """
CREATE OR REPLACE FUNCTION drop_partition(parent text, older_than timestamptz) RETURNS text LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    oldest text;
    until uuid;
    looking text;
    is_needed boolean;
BEGIN
    IF parent NOT IN ('events', 'webhook_deliveries') THEN
        RAISE EXCEPTION '% is not partitioned', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT relname INTO oldest
      FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
     WHERE inhparent = CAST(parent AS regclass) AND relname ~ '_[0-9]{4}_[0-9]{2}$'
       AND (to_date(right(relname, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC'
           <= least(older_than, now() - interval '7 days')
     ORDER BY relname LIMIT 1;
    IF oldest IS NULL THEN
        RETURN NULL;
    END IF;
    until := uuid7_floor((to_date(right(oldest, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC');
    looking := CASE parent
        WHEN 'events' THEN format($sql$
            SELECT EXISTS (SELECT FROM %I AS old, webhook_cursor AS told
                            WHERE (old.xact_id, old.id) > (told.xact_id, told.event_id))
                OR EXISTS (SELECT FROM webhook_deliveries WHERE state = 'pending' AND event_id < %L)$sql$, oldest, until)
        ELSE format('SELECT EXISTS (SELECT FROM %I WHERE state = ''pending'')', oldest) END;
    EXECUTE looking INTO is_needed;
    IF is_needed THEN
        RETURN NULL;
    END IF;
    {second look}
    EXECUTE format('DROP TABLE %I', oldest);
    RETURN oldest;
END $$;
"""


def upgrade() -> None:
    op.execute(DROP_PARTITION.replace("{second look}", TWICE))


def downgrade() -> None:
    op.execute(DROP_PARTITION.replace("{second look}", ONCE))
