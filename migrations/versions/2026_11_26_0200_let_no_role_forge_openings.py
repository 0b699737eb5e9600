"""Let nobody but the owner open a balance, blind a check, or edit events of the default partition.

An opening balance has no job, so that whoever may write transactions could make one. The checks of transactions and
entries looked for tables where the session does, in which a temporary one comes first. And the partition of events that
belong to no month had no trigger that refuses to edit history. The release before does not notice.
"""

from alembic import op

revision = "2026_11_26_0200"
down_revision = "2026_11_25_2200"
branch_labels = None
depends_on = None

OF_OWNER = """
    kind <> 'opening'
    OR NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE')
"""


def job_exists(condition: str) -> str:
    """Return the check that a statement's transactions have jobs: those that fulfil the condition."""
    return f"""
        CREATE OR REPLACE FUNCTION refuse_transactions_without_job() RETURNS trigger LANGUAGE plpgsql
            SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
        DECLARE
            guilty uuid;
        BEGIN
            SELECT id INTO guilty FROM posted
             WHERE ({condition})
               AND NOT EXISTS (SELECT FROM jobs WHERE jobs.id = coalesce(posted.job_id, posted.id)) LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'no job asked for transaction %', guilty
                    USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'transactions_job_exists';
            END IF;
            RETURN NULL;
        END $$;
    """  # noqa: S608 - our own words


CHECKS = ("refuse_transactions_without_job()", "refuse_unbalanced_entries()")


def upgrade() -> None:
    op.execute(job_exists(OF_OWNER))
    for check in CHECKS:
        op.execute(f"ALTER FUNCTION {check} SET search_path = public, pg_temp")
    op.execute("""
        CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events_default
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_history_edits()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER events_append_only ON events_default")
    for check in CHECKS:
        op.execute(f"ALTER FUNCTION {check} RESET search_path")
    op.execute(job_exists("kind <> 'opening'"))
