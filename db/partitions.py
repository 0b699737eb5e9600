"""Tables kept for a while, in a partition for each month: added ahead, and the oldest dropped.

Functions of the schema's owner do it, for the workers' role, which owns nothing.
"""

from datetime import datetime

from sqlalchemy import Connection, text

# All who read or write the table queue up behind who waits to drop a part of it: long enough for statements to end,
# too short for anybody to notice. A backup or an audit that reads the table for longer is left alone.
LOCK_WAIT = "100ms"


def add(connection: Connection, table: str, month: datetime) -> bool:
    """Make the partition of `month`; False when it is there, or its rows had to go to the default one."""
    _wait_briefly(connection)
    return bool(connection.scalar(text("SELECT add_partition(:table, :month)"), {"table": table, "month": month}))


def drop_oldest(connection: Connection, table: str, older_than_days: int) -> str | None:
    """Drop the oldest partition whose rows are all so old, and return its name.

    None: there is none, or something in it is still needed, such as an event that waits to be told.
    """
    _wait_briefly(connection)
    name: str | None = connection.scalar(DROP, {"table": table, "days": older_than_days})
    return name


DROP = text("SELECT drop_partition(:table, now() - make_interval(days => :days))")


def _wait_briefly(connection: Connection) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'"))
