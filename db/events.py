"""Events as rows: written by the trigger on jobs, read in an order in which none is ever skipped.

Transactions commit out of order, so neither time nor id tells what has been read. Each event notes its
database transaction; only events of transactions older than every running one are shown, by that number.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, text

import db.jobs
from db.rows import encode
from domain.events import Event, EventType, WalletSequence
from domain.jobs import Job

SCAN_MAX = 5_000  # Events looked at for one answer when most may not match: about 5 ms.
NOWHERE = UUID(int=0)


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the order of events: after the event of this transaction and id."""

    xact_id: int
    event_id: UUID


START = Position(xact_id=0, event_id=NOWHERE)


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed is narrowed to; None leaves it open.

    `subject` sees its own jobs' events and its own endpoints'; with `all_jobs`, every job's.
    """

    subject: str | None = None
    all_jobs: bool = False
    pattern: str | None = None


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """Some events in order, and the place from which to read on."""

    events: list[Event]
    end: Position
    has_more: bool


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that no job tells."""

    id: UUID
    type: EventType
    occurred_at: datetime
    caller: str
    data: msgspec.Struct


def record(connection: Connection, *events: NewEvent) -> None:
    connection.execute(RECORD, {"rows": encode(events)})


RECORD = text("""
    INSERT INTO events (id, type, occurred_at, caller, data)
    SELECT id, type, occurred_at, caller, data
      FROM json_to_recordset(CAST(:rows AS json))
           AS told (id uuid, type text, occurred_at timestamptz, caller text, data jsonb)
""")


def position(connection: Connection, event_id: UUID) -> Position | None:
    """Return the place after an event, or as far before it as older transactions still run."""
    row = connection.execute(POSITION, {"id": event_id}).first()
    return None if row is None else Position(xact_id=row.xact_id, event_id=row.id)


def find(connection: Connection, event_id: UUID, wanted: Filter) -> Event | None:
    """Return an event unless it is another caller's."""
    row = connection.execute(FIND, {"id": event_id} | _reader(wanted)).first()
    return None if row is None else event(row)


def stretch(connection: Connection, wanted: Filter, after: Position, limit: int) -> Stretch:
    """Return the next events, oldest first, at most `limit`; fewer when few of those looked at match."""
    scan = limit + 1 if wanted == Filter() else SCAN_MAX
    parameters = {"xact": after.xact_id, "event": after.event_id, "scan": scan, "limit": limit + 1}
    rows = connection.execute(STRETCH, parameters | _reader(wanted) | {"pattern": wanted.pattern}).all()
    if not rows:
        return Stretch(events=[], end=after, has_more=False)
    found = [row for row in rows if row.event_id is not None]
    if len(found) > limit:
        found = found[:limit]
        end = Position(xact_id=found[-1].xact_id, event_id=found[-1].event_id)
        return Stretch(events=[event(row) for row in found], end=end, has_more=True)
    end = Position(xact_id=rows[0].last_xact_id, event_id=rows[0].last_id)
    return Stretch(events=[event(row) for row in found], end=end, has_more=rows[0].scanned == scan)


def _reader(wanted: Filter) -> dict[str, Any]:
    return {"subject": wanted.subject, "all_jobs": wanted.all_jobs}


def event(row: Row[Any]) -> Event:
    """Return the event of a row of COLUMNS."""
    return Event(
        id=row.event_id,
        type=EventType(row.type),
        timestamp=row.occurred_at,
        data=_data(row),
        sequences=msgspec.convert(row.sequences or [], list[WalletSequence]),
    )


def _data(row: Row[Any]) -> Any:
    """A job that has changed since is shown as it was; PostgreSQL writes its times in another way."""
    if row.data is None:
        return db.jobs.job(row)
    return row.data if row.id is None else msgspec.convert(row.data, Job)


# Below this, every transaction has ended: nothing can appear there any more.
HORIZON = "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"
POSITION = text(f"""
    SELECT least(xact_id, {HORIZON}) AS xact_id,
           CASE WHEN xact_id < {HORIZON} THEN id ELSE CAST('{NOWHERE}' AS uuid) END AS id
      FROM events WHERE id = :id
""")  # noqa: S608 - constants
COLUMNS = f"""
    told.id AS event_id, told.type, told.occurred_at, told.data, told.xact_id, jobs.id, jobs.kind, jobs.state,
    jobs.created_at, jobs.finished_at, {db.jobs.BRIEF_RESULT} AS result, jobs.error,
    {db.jobs.SHOWN_PROGRESS} AS shown_progress, moved.sequences
"""
# Of `events AS told`. A system wallet's entries are in no order; nobody follows it by events. A bulk has too many
# to be told: its wallets' statements have them.
JOINS = """
    LEFT JOIN jobs ON jobs.id = told.job_id
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object('wallet_id', entries.wallet_id, 'sequence', entries.sequence)
                         ORDER BY entries.amount) AS sequences
          FROM transactions
          JOIN entries ON entries.transaction_id = transactions.id
                      AND entries.wallet_id IN (transactions.source_wallet_id, transactions.destination_wallet_id)
         WHERE transactions.id = told.job_id AND transactions.job_id IS NULL AND told.data IS NULL) AS moved ON true
"""
VISIBLE = """
    (CAST(:subject AS text) IS NULL OR told.caller = :subject OR (:all_jobs AND told.job_id IS NOT NULL))
"""
FIND = text(f"""
    SELECT {COLUMNS} FROM events AS told {JOINS}
     WHERE told.id = :id AND {VISIBLE}
""")  # noqa: S608 - constants
STRETCH = text(f"""
    WITH scanned AS MATERIALIZED (
        SELECT * FROM events
         WHERE (xact_id, id) > (CAST(:xact AS bigint), CAST(:event AS uuid)) AND xact_id < {HORIZON}
         ORDER BY xact_id, id LIMIT :scan),
    wanted AS (
        SELECT * FROM scanned AS told
         WHERE {VISIBLE}
           AND (CAST(:pattern AS text) IS NULL OR :pattern IN ('*', type, split_part(type, '.', 1) || '.*'))
         ORDER BY xact_id, id LIMIT :limit),
    latest AS (SELECT xact_id, id, (SELECT count(*) FROM scanned) AS scanned
                 FROM scanned ORDER BY xact_id DESC, id DESC LIMIT 1)
    SELECT latest.xact_id AS last_xact_id, latest.id AS last_id, latest.scanned, {COLUMNS}
      FROM latest LEFT JOIN wanted AS told ON true {JOINS}
     ORDER BY told.xact_id, told.id
""")  # noqa: S608 - constants
