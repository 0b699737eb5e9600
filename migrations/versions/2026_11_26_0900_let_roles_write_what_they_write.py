"""Let each role write the columns that it writes, and no others.

The workers' role could give a wallet to another customer, let it fall below zero or change what a job had asked for, and
nothing would have told. Now it may write what its statements name, which are those of the release before, too. What a
job asked for stays, for the owner as well; only an ended registration's is emptied. And an action that no job did is
recorded by the owner's commands or, of five kinds, by the API.
"""

from alembic import op

revision = "2026_11_26_0900"
down_revision = "2026_11_26_0800"
branch_labels = None
depends_on = None

# Who may write a whole table may write each column of it: that right goes first.
COLUMNS = """
REVOKE INSERT, UPDATE ON wallets FROM tekana_worker;
GRANT INSERT (id, customer_id, number, currency, type, balance_max) ON wallets TO tekana_worker;
GRANT UPDATE (balance, sequence, seal, spent, state, frozen_alone, folded_before) ON wallets TO tekana_worker;
REVOKE UPDATE ON jobs, customer_velocity FROM tekana_worker;
GRANT UPDATE (state, result, error, finished_at, payload, progress, attempts, due_at) ON jobs TO tekana_worker;
GRANT UPDATE (spent) ON customer_velocity TO tekana_worker;
"""
TABLES = """
GRANT INSERT ON wallets TO tekana_worker;
GRANT UPDATE ON wallets, jobs, customer_velocity TO tekana_worker;
"""

PAYLOAD_STAYS = """
CREATE FUNCTION refuse_payload_edits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'job % asked for what it asked for', OLD.id
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'jobs_payload_stays';
END $$;
CREATE TRIGGER jobs_payload_stays BEFORE UPDATE OF payload ON jobs FOR EACH ROW
    WHEN (NEW.payload <> OLD.payload AND (OLD.kind <> 'customer.register' OR NEW.payload <> '{}'
                                          OR NEW.state IN ('queued', 'failed')))
    EXECUTE FUNCTION refuse_payload_edits();
"""

ENDS_JOBS = "has_column_privilege(current_user, 'jobs', 'state', 'UPDATE')"
UPDATES_JOBS = "has_table_privilege(current_user, 'jobs', 'UPDATE')"


def actions_of_jobs(allowed: str) -> str:
    """Return the function that refuses an action with a job, but from those who are `allowed` to record it."""
    return f"""
        CREATE OR REPLACE FUNCTION refuse_actions_of_jobs() RETURNS trigger
            LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
        BEGIN
            IF NOT {allowed} THEN
                RAISE EXCEPTION 'only who ends jobs records what they did'
                    USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'operator_actions_of_jobs_by_workers';
            END IF;
            RETURN NEW;
        END $$;
    """


ACTIONS_WITHOUT_JOB = f"""
CREATE FUNCTION refuse_actions_of_others() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE')
       AND ({ENDS_JOBS}
            OR NEW.action NOT IN (
                'job.cancel', 'webhook_endpoint.update', 'webhook_endpoint.delete', 'webhook_secret.rotate',
                'callback_secret.rotate')) THEN
        RAISE EXCEPTION '% is not done by %', NEW.action, current_user
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'operator_actions_by_who_does_them';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER operator_actions_by_who_does_them BEFORE INSERT ON operator_actions
    FOR EACH ROW WHEN (NEW.job_id IS NULL) EXECUTE FUNCTION refuse_actions_of_others();
"""  # noqa: S608 - our own words


def upgrade() -> None:
    for script in (actions_of_jobs(ENDS_JOBS), COLUMNS, PAYLOAD_STAYS, ACTIONS_WITHOUT_JOB):
        op.execute(script)


def downgrade() -> None:
    op.execute("DROP TRIGGER operator_actions_by_who_does_them ON operator_actions")
    op.execute("DROP TRIGGER jobs_payload_stays ON jobs")
    op.execute("DROP FUNCTION refuse_actions_of_others, refuse_payload_edits")
    op.execute(TABLES)
    op.execute(actions_of_jobs(UPDATES_JOBS))
