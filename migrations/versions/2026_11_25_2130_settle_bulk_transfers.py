"""Keep bulk transfers: how many items a job has, and which job an item's transaction is of.

Nullable and without defaults: the columns are there at once, and the release before does not notice them. Of a
transaction that has a job's id, and all that were posted before have one, `job_id` stays empty.

An item's transaction has an id of its own, so that the foreign key on ids has to go. A check for each statement takes
its place, as for entries: one query that goes by the primary key, whatever was planned while the table was empty.
"""

from alembic import op

revision = "2026_11_25_2130"
down_revision = "2026_11_25_2100"
branch_labels = None
depends_on = None

COLUMNS = """
    ALTER TABLE jobs ADD COLUMN items integer;
    GRANT INSERT (items) ON jobs TO tekana_api;
    ALTER TABLE transactions ADD COLUMN job_id uuid;
"""

# Jobs are never deleted while their transactions are there: no role may, and what is posted goes first.
JOB_EXISTS = """
CREATE FUNCTION refuse_transactions_without_job() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    guilty uuid;
BEGIN
    SELECT id INTO guilty FROM posted
     WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.id = coalesce(posted.job_id, posted.id)) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'no job asked for transaction %', guilty
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'transactions_job_exists';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER transactions_job_exists AFTER INSERT ON transactions
    REFERENCING NEW TABLE AS posted FOR EACH STATEMENT EXECUTE FUNCTION refuse_transactions_without_job();
ALTER TABLE transactions DROP CONSTRAINT transactions_job_exists;
"""


def event_types(*movements: str) -> str:
    """Return the function that names an event, where these kinds have events of their own for each end."""
    kinds = ", ".join(f"'{kind}.create'" for kind in movements)
    return f"""
        CREATE OR REPLACE FUNCTION job_event_type(kind text, state text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
            SELECT CASE WHEN kind IN ({kinds}) THEN split_part(kind, '.', 1) || '.' || state
                        WHEN state <> 'succeeded' THEN 'job.' || state
                        WHEN kind = 'customer.register' THEN 'customer.registered'
                        WHEN kind = 'wallet.open' THEN 'wallet.opened'
                        ELSE 'job.succeeded' END
        $$;
    """


SINGLE = ("deposit", "withdrawal", "transfer")


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(event_types(*SINGLE, "bulk_transfer"))
    op.execute(JOB_EXISTS)


def downgrade() -> None:
    """Go back only while no bulk was settled: the foreign key finds no job for an item's transaction."""
    op.execute("ALTER TABLE transactions ADD CONSTRAINT transactions_job_exists FOREIGN KEY (id) REFERENCES jobs")
    op.execute("DROP TRIGGER transactions_job_exists ON transactions; DROP FUNCTION refuse_transactions_without_job;")
    op.execute(event_types(*SINGLE))
    op.execute("ALTER TABLE transactions DROP COLUMN job_id; ALTER TABLE jobs DROP COLUMN items;")
