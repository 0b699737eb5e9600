"""Keep how much has gone out of each wallet, and of each customer's wallets of one currency.

A wallet that has spent nothing since holds nothing, so the column costs nothing until then. The release before neither
reads nor writes it.
"""

from alembic import op

revision = "2026_11_26_0500"
down_revision = "2026_11_26_0430"
branch_labels = None
depends_on = None

SPENT = """
ALTER TABLE wallets ADD COLUMN spent bigint[];
ALTER TABLE wallets ADD CONSTRAINT wallets_spent_is_five_numbers CHECK (cardinality(spent) = 5) NOT VALID;
ALTER TABLE wallets VALIDATE CONSTRAINT wallets_spent_is_five_numbers;

CREATE TABLE customer_velocity (
    customer_id uuid NOT NULL CONSTRAINT customer_velocity_customer_exists REFERENCES customers,
    currency text NOT NULL,
    spent bigint[] CONSTRAINT customer_velocity_spent_is_five_numbers CHECK (cardinality(spent) = 5),
    CONSTRAINT customer_velocity_pkey PRIMARY KEY (customer_id, currency)
) WITH (fillfactor = 70);
GRANT SELECT, UPDATE ON customer_velocity TO tekana_worker;
"""

# Two who open a second wallet at the same moment come one after the other, by their customer's lock. Of the wallets that
# were there before, one at most has spent something, for from the second on the row says it; they are locked, as by
# whoever spends: who has locked one of them sees the row, and what was spent before is in it.
SEVERAL = """
CREATE FUNCTION keep_customer_velocity() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM customers WHERE id IN (SELECT customer_id FROM opened) ORDER BY id FOR NO KEY UPDATE;
    INSERT INTO customer_velocity (customer_id, currency, spent)
    SELECT customer_id, currency, max(spent)
      FROM (SELECT customer_id, currency, spent FROM wallets
             WHERE customer_id IN (SELECT customer_id FROM opened)
               AND (customer_id, currency) IN (SELECT customer_id, currency FROM opened)
               AND NOT EXISTS (SELECT FROM customer_velocity AS known
                                WHERE known.customer_id = wallets.customer_id AND known.currency = wallets.currency)
             ORDER BY id FOR NO KEY UPDATE) AS locked
     GROUP BY customer_id, currency HAVING count(*) > 1
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION keep_customer_velocity FROM PUBLIC;
CREATE TRIGGER wallets_keep_customer_velocity AFTER INSERT ON wallets REFERENCING NEW TABLE AS opened
    FOR EACH STATEMENT EXECUTE FUNCTION keep_customer_velocity();

INSERT INTO customer_velocity (customer_id, currency)
SELECT customer_id, currency FROM wallets WHERE customer_id IS NOT NULL
 GROUP BY customer_id, currency HAVING count(*) > 1;
"""


def upgrade() -> None:
    op.execute(SPENT)
    op.execute(SEVERAL)


def downgrade() -> None:
    op.execute("DROP TRIGGER wallets_keep_customer_velocity ON wallets")
    op.execute("DROP FUNCTION keep_customer_velocity")
    op.execute("DROP TABLE customer_velocity")
    op.execute("ALTER TABLE wallets DROP COLUMN spent")
