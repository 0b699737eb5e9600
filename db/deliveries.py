"""Deliveries as rows: claimed with a lease and a fence number, recorded with each attempt.

Nothing here waits for a receiver: a claim and the record of what came of it are two transactions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, bindparam, text

import db.events
from db.rows import encode
from db.tables import webhook_deliveries
from domain.deliveries import Attempt, Delivery, DeliveryState
from domain.events import Event
from domain.lanes import Lane


class ClaimedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that this worker may send until its lease ends."""

    id: UUID
    fence: int
    attempts: int  # So far.
    lane_id: UUID
    key_id: UUID
    endpoint_id: UUID | None
    url: str
    event: Event
    sealed_secrets: list[str]
    is_allowed: bool  # Whether its API key is still valid, its endpoint on, and there is a secret to sign with.
    is_failing: bool  # Whether the latest answer of its endpoint was no success.
    trace_context: str | None  # Of the job it tells of.


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """The lanes in which something is due, of those that were looked at; `resume`: after which there are more."""

    lanes: list[Lane]
    resume: UUID | None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a claimed delivery."""

    id: UUID
    fence: int
    state: DeliveryState
    delay_seconds: float
    attempt: Attempt | None


def insert(connection: Connection, delivery_id: UUID, event_id: UUID, endpoint_id: UUID) -> Delivery:
    """Send an event to an endpoint once more, or a test."""
    connection.execute(INSERT, {"id": delivery_id, "event": event_id, "endpoint": endpoint_id})
    connection.execute(RESUME, {"id": delivery_id})
    return _found(connection, delivery_id)


INSERT = text("""
    INSERT INTO webhook_deliveries (id, event_id, event_type, key_id, endpoint_id)
    SELECT :id, events.id, type, key_id, webhook_endpoints.id
      FROM events, webhook_endpoints WHERE events.id = :event AND webhook_endpoints.id = :endpoint
""")


def hasten(connection: Connection, delivery_id: UUID) -> Delivery:
    """Make the next attempt of a pending delivery due now, unless it is under way."""
    connection.execute(RESUME, {"id": delivery_id})
    connection.execute(HASTEN, {"id": delivery_id})
    return _found(connection, delivery_id)


# Who asks for it knows better than the receiver's last Retry-After.
RESUME = text("""
    UPDATE webhook_endpoints SET paused_until = NULL
      FROM webhook_deliveries
     WHERE webhook_deliveries.id = :id AND webhook_endpoints.id = endpoint_id AND paused_until > now()
""")
HASTEN = text("""
    UPDATE webhook_deliveries SET due_at = now()
     WHERE id = :id AND state = 'pending' AND (leased_until IS NULL OR leased_until < now())
""")


def repeat(connection: Connection, delivery_id: UUID, new_id: UUID) -> Delivery | None:
    """Make a new delivery like a finished one: the same event to the same address. None: that event was forgotten."""
    connection.execute(RESUME, {"id": delivery_id})
    is_made = connection.execute(REPEAT, {"id": delivery_id, "new": new_id}).rowcount == 1
    return _found(connection, new_id) if is_made else None


REPEAT = text("""
    INSERT INTO webhook_deliveries (id, event_id, event_type, key_id, endpoint_id, callback_url)
    SELECT :new, event_id, event_type, key_id, endpoint_id, callback_url FROM webhook_deliveries
     WHERE id = :id AND EXISTS (SELECT FROM events WHERE events.id = event_id)
""")


def _found(connection: Connection, delivery_id: UUID) -> Delivery:
    return delivery(connection.execute(FIND, {"id": delivery_id}).one())


def waiting(connection: Connection, after: UUID, lanes_max: int, due_max: int) -> Walk:
    """Look at the next `lanes_max` lanes, and count what is due in each, no further than `due_max`."""
    rows = connection.execute(WAITING, {"after": after, "lanes": lanes_max, "due": due_max}).all()
    lanes = [msgspec.convert(row, Lane, from_attributes=True) for row in rows if row.lane_id is not None]
    return Walk(lanes=lanes, resume=rows[0].resume)


KEY_IS_VALID = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"
# Lanes are found one by one at the head of the index: what waits behind them costs nothing.
LANES = """
    lanes AS (
        (SELECT lane_id, 1 AS place FROM webhook_deliveries
          WHERE state = 'pending' AND lane_id > :after ORDER BY lane_id LIMIT 1)
         UNION ALL
        SELECT (SELECT later.lane_id FROM webhook_deliveries AS later
                 WHERE later.state = 'pending' AND later.lane_id > lanes.lane_id ORDER BY later.lane_id LIMIT 1),
               place + 1
          FROM lanes WHERE lanes.lane_id IS NOT NULL AND place < :lanes),
    open_lanes AS (
        SELECT lane_id, failing_since
          FROM lanes LEFT JOIN webhook_endpoints ON webhook_endpoints.id = lane_id
         WHERE lane_id IS NOT NULL AND (paused_until IS NULL OR paused_until <= now()))
"""
DUE = "lane_id = open_lanes.lane_id AND state = 'pending' AND due_at <= now()"
# That an endpoint fails stands in its row; that a callback does, in its delivery's.
WAITING = text(f"""
    WITH RECURSIVE {LANES},
    due_lanes AS (
        SELECT open_lanes.lane_id, key_id, due_at AS since, due,
               failing_since IS NOT NULL OR (endpoint_id IS NULL AND attempts <> '[]') AS is_failing
          FROM open_lanes,
               LATERAL (SELECT key_id, due_at, endpoint_id, attempts FROM webhook_deliveries
                         WHERE {DUE} ORDER BY due_at LIMIT 1) AS head,
               LATERAL (SELECT count(*) AS due
                          FROM (SELECT FROM webhook_deliveries WHERE {DUE} LIMIT :due) AS first_ones) AS counted)
    SELECT (SELECT lane_id FROM lanes WHERE place = :lanes) AS resume, due_lanes.*
      FROM (SELECT) AS once LEFT JOIN due_lanes ON true
""")  # noqa: S608 - constants


def claim(connection: Connection, shares: Mapping[UUID, int], lease_seconds: float) -> list[ClaimedDelivery]:
    """Lease the oldest due deliveries of each lane, so many of each."""
    wanted = [{"lane_id": lane_id, "deliveries": count} for lane_id, count in shares.items()]
    rows = connection.execute(CLAIM, {"wanted": encode(wanted), "lease": lease_seconds})
    return [claimed for row in rows if (claimed := _claimed(row)) is not None]


# An endpoint may be switched off while events are fanned out to it: what was made then is not sent either. What was
# picked is an array, which PostgreSQL takes for ten, and looks for in each month. Of the rows of `picked` it expects a
# tenth of all that is due, for which it reads all deliveries, events and jobs rather than go by their keys.
CLAIM = text(f"""
    WITH picked AS (
        SELECT due.id FROM json_to_recordset(CAST(:wanted AS json)) AS wanted (lane_id uuid, deliveries int),
               LATERAL (SELECT id FROM webhook_deliveries
                         WHERE lane_id = wanted.lane_id AND state = 'pending' AND due_at <= now()
                         ORDER BY due_at LIMIT wanted.deliveries FOR UPDATE SKIP LOCKED) AS due),
    leased AS (
        UPDATE webhook_deliveries AS taken
           SET due_at = clock_timestamp() + make_interval(secs => :lease),
               leased_until = clock_timestamp() + make_interval(secs => :lease), fence = fence + 1
         WHERE taken.id = ANY(ARRAY(SELECT id FROM picked))
     RETURNING taken.*)
    SELECT leased.id AS delivery_id, leased.fence, jsonb_array_length(leased.attempts) AS attempts, leased.lane_id,
           leased.key_id, leased.endpoint_id, coalesce(leased.callback_url, webhook_endpoints.url) AS url,
           (SELECT {KEY_IS_VALID} FROM api_keys WHERE api_keys.id = leased.key_id)
               AND coalesce(webhook_endpoints.enabled, true) AND secret.sealed IS NOT NULL AS is_allowed,
           webhook_endpoints.failing_since IS NOT NULL AS is_failing,
           secret.sealed, CASE WHEN secret.previous_until > now() THEN secret.previous_sealed END AS previous_sealed,
           jobs.trace_context, {db.events.COLUMNS}
      FROM leased
      JOIN events AS told ON told.id = leased.event_id
      LEFT JOIN webhook_endpoints ON webhook_endpoints.id = leased.endpoint_id
      LEFT JOIN webhook_secrets AS secret ON secret.owner_id = coalesce(leased.endpoint_id, leased.key_id)
           {db.events.JOINS}
     ORDER BY leased.id
""")  # noqa: S608 - constants


def _claimed(row: Row[Any]) -> ClaimedDelivery | None:
    """Return nothing for an event that only a newer release knows: a worker of that one sends it, after the lease."""
    try:
        event = db.events.event(row)
    except ValueError:
        return None
    return ClaimedDelivery(
        id=row.delivery_id,
        fence=row.fence,
        attempts=row.attempts,
        lane_id=row.lane_id,
        key_id=row.key_id,
        endpoint_id=row.endpoint_id,
        url=row.url,
        event=event,
        sealed_secrets=[sealed for sealed in (row.sealed, row.previous_sealed) if sealed is not None],
        is_allowed=bool(row.is_allowed),
        is_failing=bool(row.is_failing),
        trace_context=row.trace_context,
    )


def record(connection: Connection, outcomes: Sequence[Recorded]) -> None:
    """Write what came of claimed deliveries. One whose lease was taken over since is left to who took it."""
    rows = connection.execute(RECORD, {"rows": encode(outcomes)})
    counts = Counter(OUTCOMES[row.state] for row in rows if row.state in OUTCOMES)
    for outcome, deliveries in sorted(counts.items()):
        connection.execute(COUNT, {"outcome": outcome, "deliveries": deliveries})


# What the metrics call them.
OUTCOMES = {"succeeded": "succeeded", "pending": "retried", "failed": "failed"}
# What was canceled while it was under way stays so, unless it arrived.
RECORD = text("""
    UPDATE webhook_deliveries AS sent
       SET state = CASE WHEN sent.state = 'pending' OR came.state = 'succeeded' THEN came.state ELSE sent.state END,
           finished_at = CASE WHEN sent.state = 'pending' AND came.state = 'pending' THEN NULL
                              ELSE clock_timestamp() END,
           due_at = clock_timestamp() + make_interval(secs => came.delay_seconds), leased_until = NULL,
           fence = sent.fence + 1, attempts = sent.attempts || coalesce(came.attempt, '[]')
      FROM json_to_recordset(CAST(:rows AS json))
           AS came (id uuid, fence bigint, state text, delay_seconds double precision, attempt jsonb)
     WHERE sent.id = came.id AND sent.fence = came.fence
 RETURNING sent.state
""")
COUNT = text("UPDATE webhook_totals SET deliveries = deliveries + :deliveries WHERE outcome = :outcome")


def cancel(connection: Connection, endpoint_ids: Sequence[UUID]) -> None:
    """Send none of what waits for these endpoints.

    What is being recorded just now, and all beyond CANCELED_AT_ONCE, is left to who claims it: see `is_allowed`.
    """
    statement = text(CANCEL.format("lane_id = ANY(CAST(:ids AS uuid[]))"))
    connection.execute(statement, {"ids": list(endpoint_ids), "most": CANCELED_AT_ONCE})


def cancel_of(connection: Connection, key_id: UUID) -> None:
    """Send none of what waits for an API key's endpoints and callbacks; as with `cancel`, some of it later."""
    connection.execute(text(CANCEL.format("key_id = :key_id")), {"key_id": key_id, "most": CANCELED_AT_ONCE})


CANCELED_AT_ONCE = 5_000  # About 100 ms: others wait for this transaction, and a dead endpoint's backlog has no end.
CANCEL = """
    UPDATE webhook_deliveries SET state = 'canceled', finished_at = clock_timestamp()
     WHERE id IN (SELECT id FROM webhook_deliveries WHERE state = 'pending' AND {}
                   LIMIT :most FOR UPDATE SKIP LOCKED)
"""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of deliveries is narrowed to; None leaves it open."""

    key_id: UUID | None = None
    endpoint_id: UUID | None = None
    state: DeliveryState | None = None
    event_type: str | None = None


def find(connection: Connection, delivery_id: UUID, key_id: UUID | None) -> Delivery | None:
    """Return a delivery, unless it is another key's (None: whosever)."""
    row = connection.execute(FIND, {"id": delivery_id}).first()
    return None if row is None or key_id not in {None, row.key_id} else delivery(row)


def page(connection: Connection, wanted: Filter, before: UUID | None, limit: int) -> list[Delivery]:
    """Return at most `limit` deliveries, newest first, that are older than `before`."""
    given = {name: value for name in wanted.__struct_fields__ if (value := getattr(wanted, name)) is not None}
    where = " AND ".join([f"{name} = :{name}" for name in given] + ["id < :before"] * (before is not None)) or "true"
    statement = text(PAGE.format(where))
    narrowed = [
        bindparam(name, value, webhook_deliveries.c[name].type, literal_execute=True) for name, value in given.items()
    ]
    rows = connection.execute(statement.bindparams(*narrowed), {"before": before, "limit": limit})
    return [delivery(row) for row in rows]


# What a list is narrowed to is a constant of its statement, not a parameter: partial indexes are used only where it is
# known that they will do, and keys have so different numbers of deliveries that no plan is good for all of them.
SHOWN = """
    id, endpoint_id, callback_url, event_id, event_type, state, attempts, created_at, finished_at, key_id,
    CASE state WHEN 'pending' THEN due_at END AS next_attempt_at
"""
PAGE = f"SELECT {SHOWN} FROM webhook_deliveries WHERE {{}} ORDER BY id DESC LIMIT :limit"  # noqa: S608 - a name
FIND = text(f"SELECT {SHOWN} FROM webhook_deliveries WHERE id = :id")  # noqa: S608 - a constant


def delivery(row: Row[Any]) -> Delivery:
    return msgspec.convert(row, Delivery, from_attributes=True)
