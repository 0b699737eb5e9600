"""Let the database refuse, too: wallets of customers who are not open, blocks that end too late, jobs' actions by others.

A worker of the release before knows no frozen customer, and would open a wallet for one: its job fails now. A block that
ends after a database transaction which may still run would pass by what that one posts. And a job's action is written by
who ends the job: the API's role might have been first, so that the job could not end. The release before does none of
the last two.
"""

from alembic import op

revision = "2026_11_26_0700"
down_revision = "2026_11_26_0600"
branch_labels = None
depends_on = None

LOCK = "PERFORM FROM customers WHERE id IN (SELECT customer_id FROM opened) ORDER BY id FOR NO KEY UPDATE;"
LOCK_OPEN = """SELECT id INTO guilty
      FROM (SELECT id, state FROM customers WHERE id IN (SELECT customer_id FROM opened)
             ORDER BY id FOR NO KEY UPDATE) AS locked
     WHERE state <> 'open' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'customer % is not open, and gets no wallet', guilty
            USING ERRCODE = 'check_violation', CONSTRAINT = 'wallets_customer_is_open';
    END IF;"""


def keep_customer_velocity(lock: str) -> str:
    """Return the function that looks at new wallets, with how it locks their customers."""
    return f"""
        CREATE OR REPLACE FUNCTION keep_customer_velocity() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
        DECLARE
            guilty uuid;
        BEGIN
            {lock}
            INSERT INTO customer_velocity (customer_id, currency, spent)
            SELECT customer_id, currency, max(spent)
              FROM (SELECT customer_id, currency, spent FROM wallets
                     WHERE customer_id IN (SELECT customer_id FROM opened)
                       AND (customer_id, currency) IN (SELECT customer_id, currency FROM opened)
                       AND NOT EXISTS (SELECT FROM customer_velocity AS known
                                        WHERE known.customer_id = wallets.customer_id
                                          AND known.currency = wallets.currency)
                     ORDER BY id FOR NO KEY UPDATE) AS locked
             GROUP BY customer_id, currency HAVING count(*) > 1
            ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $$;
    """  # noqa: S608 - our own words


RULES = """
CREATE FUNCTION refuse_early_blocks() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.before_xact_id > CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) THEN
        RAISE EXCEPTION 'block % ends after transactions that may still run', NEW.number
            USING ERRCODE = 'check_violation', CONSTRAINT = 'blocks_end_before_what_runs';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER blocks_end_before_what_runs BEFORE INSERT ON blocks
    FOR EACH ROW EXECUTE FUNCTION refuse_early_blocks();

CREATE FUNCTION refuse_actions_of_jobs() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT has_table_privilege(current_user, 'jobs', 'UPDATE') THEN
        RAISE EXCEPTION 'only who ends jobs records what they did'
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'operator_actions_of_jobs_by_workers';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER operator_actions_of_jobs_by_workers BEFORE INSERT ON operator_actions
    FOR EACH ROW WHEN (NEW.job_id IS NOT NULL) EXECUTE FUNCTION refuse_actions_of_jobs();
"""


def upgrade() -> None:
    op.execute(keep_customer_velocity(LOCK_OPEN))
    op.execute(RULES)


def downgrade() -> None:
    op.execute("DROP TRIGGER operator_actions_of_jobs_by_workers ON operator_actions")
    op.execute("DROP TRIGGER blocks_end_before_what_runs ON blocks")
    op.execute("DROP FUNCTION refuse_early_blocks, refuse_actions_of_jobs")
    op.execute(keep_customer_velocity(LOCK))
