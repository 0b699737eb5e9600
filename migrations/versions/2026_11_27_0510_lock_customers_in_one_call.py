"""Lock a batch's customers in one call, which does without those that somebody holds for long.

As `lock_wallets` does: a function's block of exceptions is a savepoint of its own, without round trips for it.
"""

from alembic import op

revision = "2026_11_27_0510"
down_revision = "2026_11_27_0500"
branch_labels = None
depends_on = None

LOCKED = """
    WITH locked AS MATERIALIZED (
        SELECT id, state FROM customers WHERE id = ANY(customer_ids) ORDER BY id FOR NO KEY UPDATE{otherwise}
    ) SELECT json_agg(locked) FROM locked
"""
LOCK_CUSTOMERS = f"""
CREATE FUNCTION lock_customers(customer_ids uuid[], wait text) RETURNS json
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM set_config('lock_timeout', wait, true);
    BEGIN
        RETURN ({LOCKED.format(otherwise="")});
    EXCEPTION WHEN lock_not_available THEN
        RETURN ({LOCKED.format(otherwise=" SKIP LOCKED")});
    END;
END $$;
REVOKE EXECUTE ON FUNCTION lock_customers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_customers TO tekana_worker;
"""


def upgrade() -> None:
    op.execute(LOCK_CUSTOMERS)


def downgrade() -> None:
    op.execute("DROP FUNCTION lock_customers")
