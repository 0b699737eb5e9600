"""Note the customers of several wallets whom the fence that stood open let pass.

Apart from its mend, so that whoever opens a wallet meanwhile is noted by one of the two. Of what two wallets spent
before, the later counts; a day later all does. All wallets are read for it, ten seconds or so for a million, in which
webhooks and the chain wait: they tell of nothing newer than the oldest database transaction that runs.
"""

from alembic import op

revision = "2026_11_27_0110"
down_revision = "2026_11_27_0100"
branch_labels = None
depends_on = None

NOTE = """
    INSERT INTO customer_velocity (customer_id, currency, spent)
    SELECT customer_id, currency, max(spent) FROM wallets WHERE customer_id IS NOT NULL
     GROUP BY customer_id, currency HAVING count(*) > 1
    ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    op.execute(NOTE)


def downgrade() -> None:
    """A row that is noted is right in every release."""
