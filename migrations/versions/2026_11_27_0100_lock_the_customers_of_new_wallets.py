"""Lock every customer for whom a wallet is opened, and not those alone who are not open.

PostgreSQL looks at a condition on a locking subquery's rows before it locks them. So two who opened a wallet for one
customer at the same moment did not wait for each other, and neither saw that there were two: what the customer spends
from both was not counted as one customer's. Workers and imports lock the customer themselves; this is the fence behind
them.
"""

from alembic import op

revision = "2026_11_27_0100"
down_revision = "2026_11_26_0910"
branch_labels = None
depends_on = None

KEEP_CUSTOMER_VELOCITY = """
CREATE OR REPLACE FUNCTION keep_customer_velocity() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    guilty uuid;
BEGIN
    WITH locked AS MATERIALIZED (
        SELECT id, state FROM customers WHERE id IN (SELECT customer_id FROM opened) ORDER BY id FOR NO KEY UPDATE
    ) SELECT min(CAST(id AS text)) INTO guilty FROM locked WHERE state <> 'open';
    IF guilty IS NOT NULL THEN
        RAISE EXCEPTION 'customer % is not open, and gets no wallet', guilty
            USING ERRCODE = 'check_violation', CONSTRAINT = 'wallets_customer_is_open';
    END IF;
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
"""


def upgrade() -> None:
    op.execute(KEEP_CUSTOMER_VELOCITY)


def downgrade() -> None:
    """The fence that stands is right in every release."""
