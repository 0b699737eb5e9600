"""Chain the ledger: blocks of transactions, each with a hash over the block before it.

Transactions note the database transaction that wrote them, which is their order in the chain. Those that are here already
have none: block 0 ends before them, and the maintenance worker seals them in as many blocks as it takes, in the order of
their ids. The workers' role may write a transaction and a block, but not say when that was. The release before does not
notice.
"""

from alembic import op

revision = "2026_11_26_0600"
down_revision = "2026_11_26_0500"
branch_labels = None
depends_on = None

WRITTEN = (
    "id, kind, amount, currency, source_wallet_id, destination_wallet_id, description, external_reference, metadata,"
    " posted_at, seal, job_id"
)
EARLIEST = "CAST(-(2 ^ 48) AS bigint)"  # Before every id: see db/chain.py.
UP = f"""
ALTER TABLE transactions ADD COLUMN xact_id bigint;
ALTER TABLE transactions ALTER COLUMN xact_id SET DEFAULT ((pg_current_xact_id())::text)::bigint;
CREATE INDEX transactions_by_xact ON transactions (xact_id) WHERE xact_id IS NOT NULL;
REVOKE INSERT ON transactions FROM tekana_worker;
GRANT INSERT ({WRITTEN}) ON transactions TO tekana_worker;
CREATE TABLE blocks (
    number bigint CONSTRAINT blocks_pkey PRIMARY KEY,
    before_xact_id bigint NOT NULL,
    transactions bigint NOT NULL,
    digest bytea NOT NULL,
    head bytea NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT blocks_transactions_counted CHECK (transactions >= 0),
    CONSTRAINT blocks_hashes_are_sha256 CHECK (length(digest) = 32 AND length(head) = 32)
);
CREATE TRIGGER blocks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON blocks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_history_edits();
GRANT SELECT ON blocks TO tekana_api, tekana_worker;
GRANT INSERT (number, before_xact_id, transactions, digest, head) ON blocks TO tekana_worker;
"""
FIRST_BLOCK = f"""
INSERT INTO blocks (number, before_xact_id, transactions, digest, head)
SELECT 0, bound, 0, sha256(''), sha256(int8send(0) || int8send(bound) || int8send(0) || sha256(''))
  FROM (SELECT CASE WHEN EXISTS (SELECT FROM transactions) THEN {EARLIEST} ELSE 1 END AS bound) AS chosen;
"""  # noqa: S608 - our own words


def upgrade() -> None:
    op.execute(UP)
    op.execute(FIRST_BLOCK)


def downgrade() -> None:
    op.execute("DROP TABLE blocks")
    op.execute("GRANT INSERT ON transactions TO tekana_worker")
    op.execute("ALTER TABLE transactions DROP COLUMN xact_id")
