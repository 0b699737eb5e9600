"""Let a block of the chain have the next number only.

The workers' role could insert a block with the last number there is, after which no block could follow for ever. One
that has a number already meets the primary key, as of two workers who seal at once. The release before does no other.
"""

from alembic import op

revision = "2026_11_26_0910"
down_revision = "2026_11_26_0900"
branch_labels = None
depends_on = None

NUMBERED = """
    SELECT coalesce(max(number), -1) + 1 INTO next FROM blocks;
    IF NEW.number NOT BETWEEN 0 AND next THEN
        RAISE EXCEPTION 'block % does not follow, the next one is %', NEW.number, next
            USING ERRCODE = 'check_violation', CONSTRAINT = 'blocks_follow_each_other';
    END IF;"""


def early_blocks(numbered: str) -> str:
    """Return the function that refuses blocks, with or without what is asked of their numbers."""
    return f"""
        CREATE OR REPLACE FUNCTION refuse_early_blocks() RETURNS trigger
            LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
        DECLARE
            next bigint;
        BEGIN
            IF NEW.before_xact_id > CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) THEN
                RAISE EXCEPTION 'block % ends after transactions that may still run', NEW.number
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'blocks_end_before_what_runs';
            END IF;{numbered}
            RETURN NEW;
        END $$;
    """


def upgrade() -> None:
    op.execute(early_blocks(NUMBERED))


def downgrade() -> None:
    op.execute(early_blocks(""))
