"""Give every list an index by which a page of it is read, whatever it is narrowed to and however long the history is.

What is rare has partial indexes, which cost the common case nothing: a transfer that succeeds is in one index more than
before, by time. Indexes are built in this transaction: 3 s for 5,000,000 jobs and transactions, during which they are
read but not written.
"""

from alembic import op

revision = "2026_11_25_2150"
down_revision = "2026_11_25_2140"
branch_labels = None
depends_on = None

UP = """
    CREATE INDEX jobs_of_other_kinds ON jobs (kind, id) WHERE kind <> 'transfer.create';
    CREATE INDEX jobs_of_other_kinds_by_caller ON jobs (caller, kind, id) WHERE kind <> 'transfer.create';
    CREATE INDEX jobs_ended_badly ON jobs (state, id) WHERE state IN ('rejected', 'failed', 'canceled');
    CREATE INDEX jobs_ended_badly_by_kind ON jobs (state, kind, id) WHERE state IN ('rejected', 'failed', 'canceled');
    CREATE INDEX jobs_ended_badly_by_caller ON jobs (caller, state, kind, id)
        WHERE state IN ('rejected', 'failed', 'canceled');
    CREATE INDEX transactions_in_order ON transactions (posted_at, id);
    CREATE INDEX transactions_of_cash ON transactions (kind, posted_at, id) WHERE kind <> 'transfer';
    CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (id) WHERE state = 'pending';
    CREATE INDEX webhook_deliveries_by_type_only ON webhook_deliveries (event_type, id);
    CREATE INDEX webhook_deliveries_ended_badly_by_key ON webhook_deliveries (key_id, state, id)
        WHERE state IN ('failed', 'canceled');
    CREATE INDEX webhook_deliveries_ended_badly_by_endpoint ON webhook_deliveries (endpoint_id, state, id)
        WHERE state IN ('failed', 'canceled');
    DROP INDEX jobs_failed;
"""
DOWN = """
    CREATE INDEX jobs_failed ON jobs (id) WHERE state = 'failed';
    DROP INDEX jobs_of_other_kinds, jobs_of_other_kinds_by_caller, jobs_ended_badly, jobs_ended_badly_by_kind,
        jobs_ended_badly_by_caller, transactions_in_order, transactions_of_cash, webhook_deliveries_waiting,
        webhook_deliveries_by_type_only, webhook_deliveries_ended_badly_by_key, webhook_deliveries_ended_badly_by_endpoint;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
