"""Replays: deliveries made from events of the past."""

from uuid import UUID

from sqlalchemy import Connection, text

from db.deliveries import KEY_IS_VALID
from db.outbox import HEARS
from domain.replays import Chunk, Size


def size(connection: Connection, endpoint_id: UUID, span: tuple[UUID, UUID], most: int) -> Size:
    """Count the events of `span` (first id, end), no further than `most`."""
    first, end = span
    row = connection.execute(SIZE, {"endpoint": endpoint_id, "first": first, "end": end, "limit": most}).one()
    return Size(events=row.events, heard=row.heard, last_id=row.last_id)


TOLD = """
    told AS MATERIALIZED (
        SELECT id, xact_id, type, caller, job_id FROM events
         WHERE id >= :first AND id < :end ORDER BY id LIMIT :limit)
"""
# What has not been fanned out yet is told by that.
HEARD = f"""
    heard AS MATERIALIZED (
        SELECT told.id, told.type, key_id
          FROM told
          JOIN webhook_endpoints ON webhook_endpoints.id = :endpoint AND enabled
          JOIN api_keys ON api_keys.id = key_id
          JOIN webhook_cursor ON told.xact_id < since_xact_id
                OR (told.xact_id, told.id) <= (webhook_cursor.xact_id, webhook_cursor.event_id)
         WHERE {KEY_IS_VALID} AND {HEARS} AND told.type <> 'webhook.test')
"""  # noqa: S608 - constants
SIZE = text(f"""
    WITH {TOLD}, {HEARD}
    SELECT (SELECT count(*) FROM told) AS events, (SELECT count(*) FROM heard) AS heard,
           (SELECT id FROM told ORDER BY id DESC LIMIT 1) AS last_id
""")  # noqa: S608 - constants


def replay(
    connection: Connection, endpoint_id: UUID, span: tuple[UUID, UUID], *, only_failed: bool, events_max: int
) -> Chunk:
    """Make deliveries of the next events of `span` (first id, end) that the endpoint may hear and none waits for.

    `only_failed`: of those only that never arrived, which includes those from while it was switched off.
    """
    first, end = span
    parameters = {"first": first, "end": end, "limit": events_max}
    row = connection.execute(REPLAY, parameters | {"endpoint": endpoint_id, "only_failed": only_failed}).one()
    return Chunk(events=row.events, heard=row.heard, deliveries=row.deliveries, last_id=row.last_id)


REPLAY = text(f"""
    WITH {TOLD}, {HEARD},
    staged AS (
        INSERT INTO webhook_deliveries (id, event_id, event_type, key_id, endpoint_id)
        SELECT uuid7(clock_timestamp(), gen_random_uuid()), id, type, key_id, :endpoint
          FROM heard
         WHERE NOT EXISTS (
               SELECT FROM webhook_deliveries AS known
                WHERE known.event_id = heard.id AND known.endpoint_id = :endpoint
                  AND (known.state = 'pending' OR (:only_failed AND known.state = 'succeeded')))
         ORDER BY id
     RETURNING id)
    SELECT (SELECT count(*) FROM told) AS events, (SELECT count(*) FROM heard) AS heard,
           (SELECT count(*) FROM staged) AS deliveries, (SELECT id FROM told ORDER BY id DESC LIMIT 1) AS last_id
""")  # noqa: S608 - constants
