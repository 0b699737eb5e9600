"""The outbox: how events become deliveries, and what still waits to be told."""

import msgspec
from sqlalchemy import Connection, text

import db.events
from db.deliveries import KEY_IS_VALID, LANES
from db.events import HORIZON
from db.jobs import Overdue
from domain.jobs import Queue


class FannedOut(msgspec.Struct, frozen=True, kw_only=True):
    """How many events were looked at, how many deliveries they made, and whether more events may wait."""

    events: int
    deliveries: int
    has_more: bool


def fan_out(connection: Connection, deliveries_max: int, delay_seconds: float = 0.0) -> FannedOut:
    """Make the deliveries of the next events, and remember how far that went; nothing while another worker does.

    The event whose deliveries reach `deliveries_max` is the last. The first attempt is due in `delay_seconds`.
    """
    parameters = {"most": deliveries_max, "events": EVENTS_AT_ONCE, "delay": delay_seconds}
    row = connection.execute(FAN_OUT, parameters).one()
    return FannedOut(events=row.events, deliveries=row.deliveries, has_more=row.has_more)


EVENTS_AT_ONCE = 1_000  # Looked at in one transaction: about 10 ms when hardly anybody wants them.

# Whoever may read a job may be told of it: the key that made it, and those that read all jobs. Of another key's
# endpoints only operators hear.
MAY_READ = """
    ('*' = ANY(api_keys.scopes) OR told.caller = 'key:' || api_keys.id
     OR ('jobs:read' = ANY(api_keys.scopes) AND told.job_id IS NOT NULL))
"""
HEARS = f"""
    {MAY_READ}
    AND webhook_endpoints.event_types && ARRAY['*', told.type, split_part(told.type, '.', 1) || '.*']
"""
# Without any, nothing is locked: a lock is written to disk, and this is asked several times a second.
NEWS = f"""
    EXISTS (SELECT FROM events
             WHERE (events.xact_id, id) > (webhook_cursor.xact_id, webhook_cursor.event_id)
               AND events.xact_id < {HORIZON})
"""
SPARE = 4  # Endpoints hear a part of what they may: so many times more events are looked at than if they heard all.
# Only a few keys hear of what others do: each event meets the endpoints of these and its own caller's, not all.
FAN_OUT = text(f"""
    WITH place AS (SELECT xact_id, event_id FROM webhook_cursor WHERE {NEWS} FOR UPDATE SKIP LOCKED),
    listening AS MATERIALIZED (
        SELECT webhook_endpoints.id AS endpoint_id, 'key:' || key_id AS caller,
               scopes && '{{*,jobs:read}}' AS hears_others
          FROM webhook_endpoints JOIN api_keys ON api_keys.id = key_id
         WHERE enabled AND {KEY_IS_VALID}),
    turn AS MATERIALIZED (
        SELECT least(:events, greatest({SPARE} * :most / greatest(count(*), 1), 1)) AS events
          FROM listening WHERE hears_others),
    looked_at AS MATERIALIZED (
        SELECT next.* FROM place, LATERAL (
            SELECT id, xact_id, type, caller, job_id, callback_url FROM events
             WHERE (xact_id, id) > (place.xact_id, place.event_id) AND xact_id < {HORIZON}
             ORDER BY xact_id, id LIMIT (SELECT events FROM turn)) AS next),
    met AS (
        SELECT looked_at.id, endpoint_id FROM looked_at JOIN listening USING (caller)
         UNION ALL
        SELECT looked_at.id, endpoint_id FROM looked_at JOIN listening
            ON hears_others AND listening.caller <> looked_at.caller),
    addressed AS (
        SELECT told.id, key_id, webhook_endpoints.id AS endpoint_id, NULL AS callback_url
          FROM looked_at AS told
          JOIN met USING (id)
          JOIN webhook_endpoints ON webhook_endpoints.id = endpoint_id AND since_xact_id <= told.xact_id
          JOIN api_keys ON api_keys.id = key_id
         WHERE {HEARS} AND told.type <> 'webhook.test'
         UNION ALL
        SELECT looked_at.id, api_keys.id, NULL, callback_url
          FROM looked_at JOIN api_keys ON caller = 'key:' || api_keys.id WHERE callback_url IS NOT NULL),
    counted AS (
        SELECT looked_at.id, xact_id, type, sum(count(addressed.id)) OVER (ORDER BY xact_id, looked_at.id)
                                            - count(addressed.id) AS before
          FROM looked_at LEFT JOIN addressed USING (id) GROUP BY looked_at.id, xact_id, type),
    told AS MATERIALIZED (SELECT id, xact_id, type FROM counted WHERE before < :most),
    staged AS (
        INSERT INTO webhook_deliveries (id, event_id, event_type, key_id, endpoint_id, callback_url, due_at)
        SELECT uuid7(clock_timestamp(), gen_random_uuid()), told.id, type, key_id, endpoint_id, callback_url,
               now() + make_interval(secs => :delay)
          FROM told JOIN addressed USING (id) ORDER BY xact_id, told.id
     RETURNING id),
    moved AS (
        UPDATE webhook_cursor SET xact_id = latest.xact_id, event_id = latest.id
          FROM (SELECT xact_id, id FROM told ORDER BY xact_id DESC, id DESC LIMIT 1) AS latest)
    SELECT (SELECT count(*) FROM told) AS events, (SELECT count(*) FROM staged) AS deliveries,
           (SELECT count(*) FROM told) < (SELECT count(*) FROM looked_at)
               OR (SELECT count(*) FROM looked_at) = (SELECT events FROM turn) AS has_more
""")  # noqa: S608 - constants


def skip_unwanted(connection: Connection) -> None:
    """Pass over the events that nobody asked to be told of, as long as there is nobody."""
    connection.execute(SKIP_UNWANTED)


WANTED = """
    EXISTS (SELECT FROM webhook_endpoints WHERE enabled)
    OR EXISTS (SELECT FROM events
                WHERE callback_url IS NOT NULL
                  AND (events.xact_id, id) > (webhook_cursor.xact_id, webhook_cursor.event_id))
"""
SKIP_UNWANTED = text(f"""
    WITH place AS (SELECT FROM webhook_cursor WHERE {NEWS} AND NOT ({WANTED}) FOR UPDATE SKIP LOCKED)
    UPDATE webhook_cursor SET xact_id = {HORIZON}, event_id = CAST('{db.events.NOWHERE}' AS uuid) FROM place
""")  # noqa: S608 - constants


def overdue(connection: Connection, seconds: float) -> list[Overdue]:
    """Return what has been due for `seconds` or longer: events to fan out, and the head of each lane."""
    row = connection.execute(OVERDUE, {"seconds": seconds} | EVERY_LANE).one()
    return [Overdue(queue=Queue.WEBHOOKS, count=row.waiting, first_id=row.first_id)] if row.waiting else []


LANES_MAX = (
    10_000  # About 100 ms: whoever has callbacks wait for more hosts is not seen by the watch, only by couriers.
)
EVERY_LANE = {"after": db.events.NOWHERE, "lanes": LANES_MAX}
WAITING = f"""
    {LANES},
    waiting AS (
        SELECT id, due_at AS since
          FROM open_lanes, LATERAL (SELECT id, due_at FROM webhook_deliveries
                                     WHERE webhook_deliveries.lane_id = open_lanes.lane_id AND state = 'pending'
                                     ORDER BY due_at LIMIT 1) AS head
         UNION ALL
        SELECT next.id, next.occurred_at
          FROM webhook_cursor, LATERAL (SELECT id, occurred_at FROM events
                                         WHERE (events.xact_id, id) > (webhook_cursor.xact_id, webhook_cursor.event_id)
                                         ORDER BY events.xact_id, id LIMIT 1) AS next
         WHERE {WANTED})
"""  # noqa: S608 - constants
OVERDUE = text(f"""
    WITH RECURSIVE {WAITING}
    SELECT count(*) AS waiting, CAST(min(CAST(id AS text)) AS uuid) AS first_id
      FROM waiting WHERE since <= clock_timestamp() - make_interval(secs => :seconds)
""")  # noqa: S608 - constants


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """For metrics: attempts by outcome since the database was made, and how long the oldest due delivery waits."""

    by_outcome: dict[str, int]
    oldest_due_seconds: float


def totals(connection: Connection) -> Totals:
    rows = connection.execute(text("SELECT outcome, deliveries FROM webhook_totals"))
    oldest = connection.scalar(OLDEST_DUE, EVERY_LANE)
    return Totals(by_outcome={row.outcome: row.deliveries for row in rows}, oldest_due_seconds=float(oldest))


OLDEST_DUE = text(f"""
    WITH RECURSIVE {WAITING}
    SELECT greatest(coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0), 0) FROM waiting
""")  # noqa: S608 - constants
