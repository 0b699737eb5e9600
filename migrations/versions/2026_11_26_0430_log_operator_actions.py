"""Log what operators do, in a table that nobody can edit.

The two roles may add rows, but not say when that was; the API's may read them. Changes of states that were made before
have none.
"""

from alembic import op

revision = "2026_11_26_0430"
down_revision = "2026_11_26_0400"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE operator_actions (
    id uuid CONSTRAINT operator_actions_pkey PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    job_id uuid CONSTRAINT operator_actions_once_per_job UNIQUE
);
CREATE INDEX operator_actions_by_action ON operator_actions (action, id);
CREATE INDEX operator_actions_by_object ON operator_actions (object, id);
CREATE INDEX operator_actions_by_object_and_action ON operator_actions (object, action, id);
CREATE TRIGGER operator_actions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON operator_actions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_history_edits();
GRANT SELECT ON operator_actions TO tekana_api;
GRANT INSERT (id, actor, action, object, details, job_id) ON operator_actions TO tekana_api, tekana_worker;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE operator_actions")
