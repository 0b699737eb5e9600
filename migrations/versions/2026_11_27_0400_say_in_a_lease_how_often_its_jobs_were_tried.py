"""Say in a lease how often its jobs were tried before, so that one attempt is counted once.

Several workers may meet a batch that fails before anybody has counted. A worker of the release before says nothing.
"""

from alembic import op

revision = "2026_11_27_0400"
down_revision = "2026_11_27_0300"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE leases ADD COLUMN attempts smallint")


def downgrade() -> None:
    op.execute("ALTER TABLE leases DROP COLUMN attempts")
