"""Partition events and deliveries by month, so that old ones are dropped and not deleted.

Ids are UUIDv7 (RFC 9562, section 5.7): a range of them is a range of time. What there is becomes the partition of this
month and all before; PostgreSQL reads its ids once, 0.1 s for a million. A delivery's event is no foreign key any more,
because the events that are dropped would have to be looked for: deliveries are dropped first.
"""

from alembic import op
from sqlalchemy import text

revision = "2026_11_25_2200"
down_revision = "2026_11_25_2150"
branch_labels = None
depends_on = None

MONTHS_AHEAD = 2  # Housekeeping adds the others.

# Whoever calls these may neither drop what is younger than a week nor choose the table's name.
FUNCTIONS = """
CREATE FUNCTION uuid7_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0') || repeat('0', 20) AS uuid)
$$;

CREATE FUNCTION add_partition(parent text, month timestamptz) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    first timestamp := date_trunc('month', month AT TIME ZONE 'UTC');
    name text := parent || to_char(first, '_YYYY_MM');
    start uuid := uuid7_floor(first AT TIME ZONE 'UTC');
    until uuid := uuid7_floor((first + interval '1 month') AT TIME ZONE 'UTC');
    is_taken boolean;
BEGIN
    IF parent NOT IN ('events', 'webhook_deliveries') THEN
        RAISE EXCEPTION '% is not partitioned', parent USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE id >= %L AND id < %L)', parent || '_default', start, until)
       INTO is_taken;
    IF is_taken OR to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)'
                   ' WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05)', name, parent);
    IF parent = 'events' THEN
        EXECUTE format('CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_history_edits()', name);
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, name, start, until);
    RETURN true;
END $$;

CREATE FUNCTION drop_partition(parent text, older_than timestamptz) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    oldest text;
    until uuid;
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
    EXECUTE CASE parent
        WHEN 'events' THEN format($sql$
            SELECT EXISTS (SELECT FROM %I AS old, webhook_cursor AS told
                            WHERE (old.xact_id, old.id) > (told.xact_id, told.event_id))
                OR EXISTS (SELECT FROM webhook_deliveries WHERE state = 'pending' AND event_id < %L)$sql$, oldest, until)
        ELSE format('SELECT EXISTS (SELECT FROM %I WHERE state = ''pending'')', oldest) END INTO is_needed;
    IF is_needed THEN
        RETURN NULL;
    END IF;
    EXECUTE format('DROP TABLE %I', oldest);
    RETURN oldest;
END $$;
REVOKE EXECUTE ON FUNCTION add_partition, drop_partition FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_partition, drop_partition TO tekana_worker;
"""

RIGHTS = {
    "events": """
        CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_history_edits();
        GRANT SELECT ON events TO tekana_api, tekana_worker;
        GRANT INSERT (id, type, occurred_at, caller, data) ON events TO tekana_api, tekana_worker;
    """,
    "webhook_deliveries": """
        GRANT SELECT ON webhook_deliveries TO tekana_api, tekana_worker;
        GRANT INSERT, UPDATE ON webhook_deliveries TO tekana_api;
        GRANT INSERT, UPDATE, DELETE ON webhook_deliveries TO tekana_worker;
    """,
}
NAME = text("SELECT CAST(:table AS text) || to_char(now() AT TIME ZONE 'UTC', '_YYYY_MM')")
UNTIL = text("""
    SELECT CAST(uuid7_floor((date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC') AS text)
""")
EVENT_EXISTS = "webhook_deliveries_event_exists"
INDEXES = text("""
    SELECT indexname, indexdef FROM pg_indexes
     WHERE schemaname = 'public' AND tablename = :table AND indexname <> :table || '_pkey' ORDER BY 1
""")
REFERENCES = text("""
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
     WHERE conrelid = CAST(:table AS regclass) AND contype = 'f' ORDER BY 1
""")


def upgrade() -> None:
    op.execute(f"ALTER TABLE webhook_deliveries DROP CONSTRAINT {EVENT_EXISTS}")
    op.execute(FUNCTIONS)
    for table in RIGHTS:
        partition(table)


def partition(table: str) -> None:
    """Make `table` the first partition of a new one of its name."""
    bind = op.get_bind()
    indexes, references = (bind.execute(query, {"table": table}).all() for query in (INDEXES, REFERENCES))
    first = bind.execute(NAME, {"table": table}).scalar()
    op.execute(f"ALTER TABLE {table} RENAME TO {first}")
    for name in (f"{table}_pkey", *(name for name, _ in indexes)):
        op.execute(f"ALTER INDEX {name} RENAME TO {name.replace(table, first, 1)}")
    options = "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED"
    op.execute(f"CREATE TABLE {table} (LIKE {first} {options}) PARTITION BY RANGE (id)")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY (id)")
    for name, definition in references:
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for _, definition in indexes:
        op.execute(definition)
    until = bind.execute(UNTIL).scalar()
    op.execute(f"ALTER TABLE {table} ATTACH PARTITION {first} FOR VALUES FROM (MINVALUE) TO ('{until}')")
    op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    op.execute(f"REVOKE ALL ON {first} FROM tekana_api, tekana_worker")
    op.execute(RIGHTS[table])
    for month in range(1, MONTHS_AHEAD + 1):
        op.execute(f"SELECT add_partition('{table}', now() + interval '{month} months')")


def downgrade() -> None:
    for table in reversed(RIGHTS):
        join(table)
    reference = "FOREIGN KEY (event_id) REFERENCES events (id)"
    op.execute("DELETE FROM webhook_deliveries WHERE NOT EXISTS (SELECT FROM events WHERE events.id = event_id)")
    op.execute(f"ALTER TABLE webhook_deliveries ADD CONSTRAINT {EVENT_EXISTS} {reference}")
    op.execute("DROP FUNCTION add_partition, drop_partition, uuid7_floor")


def join(table: str) -> None:
    """Make one table of all partitions."""
    bind = op.get_bind()
    indexes, references = (bind.execute(query, {"table": table}).all() for query in (INDEXES, REFERENCES))
    columns = bind.execute(COLUMNS, {"table": table}).scalar()
    options = "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED"
    op.execute(f"CREATE TABLE joined (LIKE {table} {options})")
    op.execute(f"INSERT INTO joined ({columns}) SELECT {columns} FROM {table}")  # noqa: S608 - constants
    op.execute(f"DROP TABLE {table}")
    op.execute(f"ALTER TABLE joined RENAME TO {table}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY (id)")
    for name, definition in references:
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for _, definition in indexes:
        op.execute(definition.replace(" ON ONLY ", " ON "))
    op.execute(RIGHTS[table])
    if table == "webhook_deliveries":
        factors = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05"
        op.execute(f"ALTER TABLE {table} SET ({factors})")


COLUMNS = text("""
    SELECT string_agg(column_name, ', ' ORDER BY ordinal_position) FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name = :table AND is_generated = 'NEVER'
""")
