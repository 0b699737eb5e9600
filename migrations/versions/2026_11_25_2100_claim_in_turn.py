"""Find the oldest queued jobs of each caller, so that a deep queue is claimed in turn.

The new index answers what `jobs_open` did as well: the release before finds its callers by the first column. To build one, all
of `jobs` is read while nobody may write to it; a database with millions of jobs gets it beforehand, with CREATE INDEX CONCURRENTLY
(docs/operations.md), and then nothing is done here.
"""

from alembic import op

revision = "2026_11_25_2100"
down_revision = "2026_11_25_1900"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX IF NOT EXISTS jobs_in_turn ON jobs (caller, queue, id) WHERE state = 'queued'")
    op.execute("DROP INDEX jobs_open")


def downgrade() -> None:
    op.execute("CREATE INDEX jobs_open ON jobs (caller) WHERE state = 'queued'")
    op.execute("DROP INDEX jobs_in_turn")
