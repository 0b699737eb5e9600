"""Lock a batch's wallets in one call, which knows by itself what to do where a lock does not come.

A savepoint, a timeout, the locks and the savepoint's end were four round trips of each batch; a function's block of
exceptions is a savepoint of its own.
"""

from alembic import op

revision = "2026_11_27_0300"
down_revision = "2026_11_27_0200"
branch_labels = None
depends_on = None

LOCKED = """
    WITH locked AS MATERIALIZED (
        SELECT id, currency, state, balance, held, balance_min, balance_max, sequence,
               encode(seal, 'base64') AS seal, CASE WHEN with_spent THEN spent END AS spent
          FROM wallets WHERE id = ANY(wallet_ids) AND customer_id IS NOT NULL
         ORDER BY id FOR NO KEY UPDATE{otherwise}
    ) SELECT json_agg(locked) FROM locked
"""
# The timeout is the transaction's from here on: no other statement of a batch waits for longer either.
LOCK_WALLETS = f"""
CREATE OR REPLACE FUNCTION lock_wallets(wallet_ids uuid[], with_spent boolean, wait text) RETURNS json
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM set_config('lock_timeout', wait, true);
    BEGIN
        RETURN ({LOCKED.format(otherwise="")});
    EXCEPTION WHEN lock_not_available THEN
        RETURN ({LOCKED.format(otherwise=" SKIP LOCKED")});
    END;
END $$;
REVOKE EXECUTE ON FUNCTION lock_wallets FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_wallets TO tekana_worker;
"""


def upgrade() -> None:
    op.execute(LOCK_WALLETS)


def downgrade() -> None:
    op.execute("DROP FUNCTION lock_wallets")
