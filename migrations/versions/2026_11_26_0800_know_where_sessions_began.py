"""Keep where each session began, as a keyed hash: a login from there is not held up by what others got wrong elsewhere.

Sessions of before have none, and so do those that the release before begins.
"""

from alembic import op

revision = "2026_11_26_0800"
down_revision = "2026_11_26_0700"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sessions ADD COLUMN place text")
    op.execute("CREATE INDEX sessions_by_place ON sessions (place)")


def downgrade() -> None:
    op.execute("DROP INDEX sessions_by_place")
    op.execute("ALTER TABLE sessions DROP COLUMN place")
