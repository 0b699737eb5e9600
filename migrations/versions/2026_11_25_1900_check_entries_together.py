"""Check the entries of a statement together: that they balance, and that their wallets and transactions exist.

Two foreign keys asked a query for each entry, which was a third of what settling cost PostgreSQL. The query of the
balance, which reads the same rows anyway, now asks for all; its plan goes by the primary keys, whatever was planned
while the tables were empty. What a foreign key also did, keep the rows that it points at, triggers do: transactions
were append-only before, and wallets stay from now on. The release before does not notice.
"""

from alembic import op

revision = "2026_11_25_1900"
down_revision = "2026_11_24_1500"
branch_labels = None
depends_on = None

CHECKED_TOGETHER = """
CREATE OR REPLACE FUNCTION refuse_unbalanced_entries() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    guilty record;
BEGIN
    SELECT posted.transaction_id, bool_and(transactions.id IS NOT NULL) AS has_transaction,
           bool_and(wallets.id IS NOT NULL) AS has_wallets
      INTO guilty
      FROM posted
      LEFT JOIN transactions ON transactions.id = posted.transaction_id
      LEFT JOIN wallets ON wallets.id = posted.wallet_id
     GROUP BY posted.transaction_id
    HAVING sum(posted.amount) <> 0 OR bool_or(wallets.currency IS DISTINCT FROM transactions.currency)
        OR bool_or(transactions.id IS NULL)
     LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF NOT guilty.has_transaction THEN
        RAISE EXCEPTION 'there is no transaction %', guilty.transaction_id
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'entries_transaction_exists';
    ELSIF NOT guilty.has_wallets THEN
        RAISE EXCEPTION 'entries of transaction % name a wallet that does not exist', guilty.transaction_id
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'entries_wallet_exists';
    END IF;
    RAISE EXCEPTION 'entries of transaction % do not sum to zero in its currency', guilty.transaction_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'entries_balanced';
END $$;
"""

WALLETS_STAY = """
CREATE FUNCTION refuse_lost_wallets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'wallets stay: close them instead'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'wallets_stay';
END $$;
CREATE TRIGGER wallets_stay BEFORE DELETE OR TRUNCATE ON wallets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_lost_wallets();
"""

ALONE = """
CREATE OR REPLACE FUNCTION refuse_unbalanced_entries() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    guilty uuid;
BEGIN
    SELECT posted.transaction_id INTO guilty
      FROM posted
      JOIN transactions ON transactions.id = posted.transaction_id
      JOIN wallets ON wallets.id = posted.wallet_id
     GROUP BY posted.transaction_id
    HAVING sum(posted.amount) <> 0 OR bool_or(wallets.currency <> transactions.currency)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entries of transaction % do not sum to zero in its currency', guilty
            USING ERRCODE = 'check_violation', CONSTRAINT = 'entries_balanced';
    END IF;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    op.execute(CHECKED_TOGETHER)
    op.execute(WALLETS_STAY)
    for constraint in ("entries_wallet_exists", "entries_transaction_exists"):
        op.execute(f"ALTER TABLE entries DROP CONSTRAINT {constraint}")


def downgrade() -> None:
    """Bring the foreign keys back; each reads all entries, as they have to hold for what is there."""
    op.execute(
        "ALTER TABLE entries ADD CONSTRAINT entries_wallet_exists FOREIGN KEY (wallet_id) REFERENCES wallets,"
        " ADD CONSTRAINT entries_transaction_exists FOREIGN KEY (transaction_id) REFERENCES transactions"
    )
    op.execute("DROP TRIGGER wallets_stay ON wallets; DROP FUNCTION refuse_lost_wallets;")
    op.execute(ALONE)
