"""Freeze, unfreeze and close wallets and customers.

A wallet's state stays what the ledger looks at, also with its customer frozen, so that workers of the release before
refuse too. `frozen_alone` remembers which wallets remain frozen when their customer is unfrozen. Two triggers keep what
is closed closed; they are asked when a statement names the state, which money movements do not.
"""

from alembic import op

revision = "2026_11_26_0400"
down_revision = "2026_11_26_0200"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE customers ADD COLUMN state text NOT NULL DEFAULT 'open',
    ADD CONSTRAINT customers_state_known CHECK (state IN ('open', 'frozen', 'closed'));
ALTER TABLE wallets ADD COLUMN frozen_alone boolean NOT NULL DEFAULT false;
UPDATE wallets SET frozen_alone = true WHERE state = 'frozen';
ALTER TABLE wallets
    ADD CONSTRAINT wallets_frozen_alone_is_frozen CHECK (state = 'frozen' OR NOT frozen_alone),
    ADD CONSTRAINT wallets_closed_are_empty CHECK (state <> 'closed' OR (balance = 0 AND held = 0));
CREATE INDEX sessions_by_customer ON sessions (customer_id) WHERE revoked_at IS NULL;
"""

RULES = """
CREATE FUNCTION refuse_reopening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is closed, and stays so', OLD.id, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_closed_is_final';
END $$;
CREATE TRIGGER wallets_closed_is_final BEFORE UPDATE OF state ON wallets FOR EACH ROW
    WHEN (OLD.state = 'closed' AND NEW.state <> 'closed') EXECUTE FUNCTION refuse_reopening();
CREATE TRIGGER customers_closed_is_final BEFORE UPDATE OF state ON customers FOR EACH ROW
    WHEN (OLD.state = 'closed' AND NEW.state <> 'closed') EXECUTE FUNCTION refuse_reopening();

CREATE FUNCTION revoke_sessions(customers uuid[]) RETURNS void LANGUAGE sql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
    UPDATE sessions SET revoked_at = now() WHERE customer_id = ANY(customers) AND revoked_at IS NULL
$$;
REVOKE EXECUTE ON FUNCTION revoke_sessions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION revoke_sessions TO tekana_worker;
GRANT UPDATE (state) ON customers TO tekana_worker;
"""

MOVEMENTS = "'deposit.create', 'withdrawal.create', 'transfer.create', 'bulk_transfer.create'"
CHANGES = """
                    WHEN kind IN ('customer.freeze', 'wallet.freeze') THEN split_part(kind, '.', 1) || '.frozen'
                    WHEN kind IN ('customer.unfreeze', 'wallet.unfreeze') THEN split_part(kind, '.', 1) || '.unfrozen'
                    WHEN kind IN ('customer.close', 'wallet.close') THEN split_part(kind, '.', 1) || '.closed'"""


def event_types(changes: str) -> str:
    """Return the function that names an event, with or without those of states."""
    return f"""
        CREATE OR REPLACE FUNCTION job_event_type(kind text, state text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
            SELECT CASE WHEN kind IN ({MOVEMENTS}) THEN split_part(kind, '.', 1) || '.' || state
                        WHEN state <> 'succeeded' THEN 'job.' || state
                        WHEN kind = 'customer.register' THEN 'customer.registered'
                        WHEN kind = 'wallet.open' THEN 'wallet.opened'{changes}
                        ELSE 'job.succeeded' END
        $$;
    """


# Who is frozen or closed would be let in again: the column goes only while everybody is open.
BACK = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM customers WHERE state <> 'open') THEN
        RAISE EXCEPTION 'customers are frozen or closed, of which the release before knows nothing';
    END IF;
END $$;
DROP TRIGGER wallets_closed_is_final ON wallets;
DROP TRIGGER customers_closed_is_final ON customers;
DROP FUNCTION refuse_reopening, revoke_sessions;
REVOKE UPDATE (state) ON customers FROM tekana_worker;
DROP INDEX sessions_by_customer;
ALTER TABLE wallets DROP CONSTRAINT wallets_frozen_alone_is_frozen, DROP CONSTRAINT wallets_closed_are_empty,
    DROP COLUMN frozen_alone;
ALTER TABLE customers DROP COLUMN state;
"""


def upgrade() -> None:
    for script in (COLUMNS, RULES, event_types(CHANGES)):
        op.execute(script)


def downgrade() -> None:
    op.execute(event_types(""))
    op.execute(BACK)
