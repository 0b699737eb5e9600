"""How far a streaming replica has come: what the primary has written, and what the replica shows of it."""

import msgspec
from sqlalchemy import Connection, text


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the history of a cluster. Places of one `system` and `timeline` can be compared."""

    system: int  # The cluster's identifier, which its replicas share.
    timeline: int  # Another one begins when a replica is promoted: from there on two servers differ.
    position: int  # In bytes of write-ahead log.

    def is_of_the_same_history(self, other: "Place") -> bool:
        return (self.system, self.timeline) == (other.system, other.timeline)


def written(connection: Connection) -> Place:
    """Return up to where the primary has written: every commit that it has confirmed lies before.

    Raises:
        DatabaseError: this is a replica.

    """
    return msgspec.convert(connection.execute(WRITTEN).one(), Place, from_attributes=True)


def replayed(connection: Connection) -> Place | None:
    """Return up to where a replica shows the primary's commits; None when this server is none, or no longer."""
    row = connection.execute(REPLAYED).one()
    return None if row.position is None else msgspec.convert(row, Place, from_attributes=True)


WRITTEN = text("""
    SELECT (SELECT system_identifier FROM pg_control_system()) AS system,
           CAST(CAST('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8) AS bit(32)) AS bigint) AS timeline,
           CAST(pg_current_wal_flush_lsn() - '0/0' AS bigint) AS position
""")
# After a promotion its replicas say so from their next restart point on; until then they are not believed.
REPLAYED = text("""
    SELECT (SELECT system_identifier FROM pg_control_system()) AS system,
           greatest((SELECT timeline_id FROM pg_control_checkpoint()),
                    (SELECT min_recovery_end_timeline FROM pg_control_recovery())) AS timeline,
           CASE WHEN pg_is_in_recovery() THEN CAST(pg_last_wal_replay_lsn() - '0/0' AS bigint) END AS position
""")
