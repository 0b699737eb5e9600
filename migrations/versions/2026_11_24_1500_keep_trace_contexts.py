"""Keep with a job the trace of the request that made it, so that its worker and its webhook continue it.

Nullable and without a check, which would read the whole table: the column is there at once, and the release before
does not notice it.
"""

from alembic import op

revision = "2026_11_24_1500"
down_revision = "2026_11_24_1400"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN trace_context text")
    op.execute("GRANT INSERT (trace_context) ON jobs TO tekana_api")


def downgrade() -> None:
    op.execute("ALTER TABLE jobs DROP COLUMN trace_context")
