"""The jobs table: the truth about every accepted request. A broker message is only a doorbell."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    TextClause,
    cast,
    literal,
    literal_column,
    select,
    text,
)

from db.rows import encode
from db.tables import jobs
from domain.jobs import (
    ALONE_FROM_ATTEMPT,
    Claimed,
    Job,
    JobState,
    Kind,
    Outcome,
    Progress,
    Queue,
    Submission,
    batch_limit,
)


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A job with what its caller does not see."""

    job: Job
    caller: str
    fingerprint: bytes


class Overdue(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of one queue that nobody picked up."""

    queue: Queue
    count: int
    first_id: UUID
    is_suspect: bool = False  # Whether one of them was in a batch that was interrupted or failed.


def stage(connection: Connection, submissions: Sequence[Submission]) -> dict[tuple[str, str], Stored]:
    """Insert the jobs whose (caller, key) is new; return what now stands under each (caller, key).

    Sorted by key, so that two processes with the same keys wait for each other and never deadlock.
    """
    ordered = sorted(submissions, key=lambda one: (one.caller, one.idempotency_key))
    rows = connection.execute(STAGE, {"rows": encode(ordered)}).all()
    created_at = {row.id: row.created_at for row in rows}
    stored = {
        (one.caller, one.idempotency_key): _new(one, created)
        for one in ordered
        if (created := created_at.get(one.id)) is not None
    }
    known = {key for one in ordered if (key := (one.caller, one.idempotency_key)) not in stored}
    return stored | find_by_keys(connection, known)


STAGE = text("""
    INSERT INTO jobs (id, kind, queue, caller, idempotency_key, fingerprint, payload, callback_url, trace_context,
                      items)
    SELECT id, kind, queue, caller, idempotency_key, decode(fingerprint, 'base64'), payload, callback_url,
           trace_context, items
      FROM json_to_recordset(CAST(:rows AS json))
           AS staged (id uuid, kind text, queue text, caller text, idempotency_key text, fingerprint text,
                      payload jsonb, callback_url text, trace_context text, items int)
    ON CONFLICT ON CONSTRAINT jobs_idempotency_key_unique DO NOTHING
    RETURNING id, created_at
""")


def _new(one: Submission, created_at: datetime) -> Stored:
    progress = UNSET if one.items is None else Progress(done=0, total=one.items)
    job = Job(id=one.id, kind=one.kind, state=JobState.QUEUED, created_at=created_at, progress=progress)
    return Stored(job=job, caller=one.caller, fingerprint=one.fingerprint)


def find_by_keys(connection: Connection, keys: set[tuple[str, str]]) -> dict[tuple[str, str], Stored]:
    """Return the jobs that stand under these pairs of caller and idempotency key."""
    if not keys:
        return {}
    callers, names = zip(*keys, strict=True)
    rows = connection.execute(FIND_BY_KEYS, {"callers": list(callers), "keys": list(names)})
    return {(row.caller, row.idempotency_key): _stored(row) for row in rows}


# Of a bulk that has not been settled nothing is done.
SHOWN_PROGRESS = (
    "coalesce(progress, CASE WHEN items IS NOT NULL THEN jsonb_build_object('done', 0, 'total', items) END)"
)
FIND_BY_KEYS = text(f"""
    SELECT id, kind, state, created_at, finished_at, result, error, {SHOWN_PROGRESS} AS shown_progress, caller,
           fingerprint, idempotency_key
      FROM jobs JOIN unnest(CAST(:callers AS text[]), CAST(:keys AS text[])) AS wanted (caller, idempotency_key)
     USING (caller, idempotency_key)
""")  # noqa: S608 - a constant


def claim(connection: Connection, queue: Queue, batch_max: int) -> list[Claimed]:
    """Lock the oldest due jobs of `queue` that no one else holds, and return them in order of arrival.

    All of them were tried equally often; the more often, the fewer, until a guilty one is alone. A bulk counts as
    many as it has items, and is alone if that is too many. A kind that only a newer release knows is left to its
    workers.
    """
    rows = connection.execute(CLAIM, claimable(queue, batch_max)).all()
    return claimed(connection, fitting(rows, rows[0].most)) if rows else []


def fitting(rows: Sequence[Row[Any]], most: int) -> Sequence[Row[Any]]:
    """Return as many of the rows, one at least, as are no more than `most` jobs. The others stay locked meanwhile.

    What was counted ahead of a claim may be locked by another worker, and larger bulks take its place.
    """
    counts = accumulate(row.items or 1 for row in rows)
    return rows[: max(1, sum(count <= most for count in counts))]


def claimable(queue: Queue, batch_max: int) -> dict[str, Any]:
    """Return which jobs may be claimed, and how many for each number of attempts."""
    limits = [batch_limit(attempts, batch_max) for attempts in range(ALONE_FROM_ATTEMPT + 1)]
    return {"queue": queue.value, "kinds": [kind.value for kind in Kind], "limits": limits}


def claimed(connection: Connection, rows: Sequence[Row[Any]]) -> list[Claimed]:
    """Return what the rows of a claim say. Payloads of bulks come now: a claim may sort all that wait."""
    bulks = [row.id for row in rows if row.payload is None]
    found = connection.execute(PAYLOADS, {"ids": bulks}).all() if bulks else []
    payloads = {row.id: row.payload for row in found}
    return [_claimed(row, row.payload or payloads[row.id]) for row in rows]


PAYLOADS = text("SELECT id, CAST(payload AS text) AS payload FROM jobs WHERE id = ANY(CAST(:ids AS uuid[]))")


def _claimed(row: Row[Any], payload: str) -> Claimed:
    return Claimed(
        id=row.id,
        kind=Kind(row.kind),
        payload=payload.encode(),
        caller=row.caller,
        has_listener=row.has_listener,
        trace_context=row.trace_context,
        items=row.items,
        attempts=row.attempts,
    )


# An endpoint that is made or enabled after the claim hears of the event too, when the sweeper rings for it.
HAS_LISTENER = "(callback_url IS NOT NULL OR (SELECT EXISTS (SELECT FROM webhook_endpoints WHERE enabled)))"
# Only `jobs_queued` has jobs in the order (queue, id), if the planner does not know that they are of one queue, and of
# BETWEEN it does not know that it is an equality. In the order of ids, it takes the primary key where it believes that
# many jobs are queued, and reads all that have ended before them.
IN_QUEUE = "queue BETWEEN :queue AND :queue AND state = 'queued'"
# Never put off is due, whatever the clock says: the server's may have been set back, or a standby's may be behind.
IS_DUE = "(due_at <= now() OR due_at = created_at)"
CLAIM = text(f"""
    WITH head AS (
        SELECT id, attempts, (CAST(:limits AS int[]))[least(attempts + 1, cardinality(CAST(:limits AS int[])))] AS most
          FROM jobs
         WHERE {IN_QUEUE} AND {IS_DUE} AND kind = ANY(CAST(:kinds AS text[]))
         ORDER BY queue, id LIMIT 1 FOR UPDATE SKIP LOCKED
    ),
    ahead AS (
        SELECT sum(coalesce(items, 1)) OVER (ORDER BY id) AS items
          FROM (SELECT id, items FROM jobs
                 WHERE {IN_QUEUE} AND id >= (SELECT id FROM head) AND {IS_DUE}
                   AND kind = ANY(CAST(:kinds AS text[])) AND attempts = (SELECT attempts FROM head)
                 ORDER BY queue, id LIMIT (SELECT most FROM head)) AS next
    )
    SELECT id, kind, CASE WHEN items IS NULL THEN CAST(payload AS text) END AS payload, caller,
           {HAS_LISTENER} AS has_listener, trace_context, items, attempts, (SELECT most FROM head) AS most
      FROM jobs
     WHERE {IN_QUEUE} AND id >= (SELECT id FROM head) AND {IS_DUE}
       AND kind = ANY(CAST(:kinds AS text[])) AND attempts = (SELECT attempts FROM head)
     ORDER BY queue, id
     LIMIT (SELECT greatest(count(*), 1) FROM ahead, head WHERE items <= most)
       FOR UPDATE SKIP LOCKED
""")  # noqa: S608 - a constant


def finish(connection: Connection, outcomes: Sequence[Outcome]) -> list[UUID]:
    """Record how jobs ended; return the ids of those that were still queued, which now never change again.

    They end in the order of `outcomes`, a microsecond apart, however PostgreSQL goes over them: what was done to a
    wallet last within a batch is what ended last, and so are their events. To write a row takes longer than that.
    A registration's payload is emptied: what it held stands in the customer's row, or nowhere.
    """
    return list(connection.scalars(FINISH, {"rows": encode(outcomes)}).all())


# Queued jobs are those that have not finished: said by their state, PostgreSQL would look through all of the queue for
# each batch. No place is 0: a condition on jobs alone would be asked of all of them first, and leave a single one by
# what PostgreSQL has counted, for which it would read the batch anew, once for each job that waits.
FINISH = text("""
    UPDATE jobs
       SET state = ended.state, result = ended.result, error = ended.error,
           finished_at = (SELECT clock_timestamp()) + ended.place * interval '1 microsecond',
           payload = CASE WHEN kind = 'customer.register' AND ended.state <> 'failed' THEN '{}' ELSE payload END,
           progress = CASE WHEN items IS NULL THEN progress ELSE jsonb_build_object(
               'done', CASE ended.state WHEN 'succeeded' THEN items ELSE 0 END, 'total', items) END
      FROM ROWS FROM (json_to_recordset(CAST(:rows AS json)) AS (job_id uuid, state text, result jsonb, error jsonb))
           WITH ORDINALITY AS ended (job_id, state, result, error, place)
     WHERE jobs.id = ended.job_id AND (jobs.finished_at IS NULL OR ended.place = 0)
 RETURNING jobs.id
""")


def without_sorts(connection: Connection, statement: TextClause, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
    """Return the rows of a statement that goes along the indexes of what is queued; in a transaction.

    While the queue is empty, to sort it costs nothing. Planned so, it would be sorted for each caller once it is deep.
    """
    connection.execute(NEVER_SORT)
    rows = connection.execute(statement, values).all()
    connection.execute(SORT)
    return rows


NEVER_SORT = text("SET LOCAL enable_sort = off")
SORT = text("SET LOCAL enable_sort TO DEFAULT")


def to_come(connection: Connection, kind: Kind, ids: Collection[UUID]) -> set[UUID]:
    """Return those of these ids that are of queued jobs of a kind that makes something of the job's own id."""
    return set(connection.scalars(TO_COME, {"kind": kind, "ids": list(ids)})) if ids else set()


TO_COME = text("""
    SELECT id FROM jobs WHERE id = ANY(CAST(:ids AS uuid[])) AND finished_at IS NULL AND kind = :kind
""")


def defer(connection: Connection, job_ids: Sequence[UUID], seconds: float) -> None:
    """Let jobs that cannot be settled now come again in `seconds`; that is not an attempt."""
    if job_ids:
        connection.execute(DEFER, {"ids": list(job_ids), "seconds": seconds})


DEFER = text("""
    UPDATE jobs SET due_at = now() + make_interval(secs => :seconds)
     WHERE id = ANY(CAST(:ids AS uuid[])) AND finished_at IS NULL
""")


def advance(connection: Connection, job_id: UUID, so_far: msgspec.Struct) -> None:
    """Keep how far a job of many batches has come; it stays queued."""
    connection.execute(ADVANCE, {"id": job_id, "progress": msgspec.json.encode(so_far).decode()})


ADVANCE = text("""
    UPDATE jobs SET progress = CAST(:progress AS jsonb), due_at = now() WHERE id = :id AND finished_at IS NULL
""")


def progress(connection: Connection, job_id: UUID) -> Any:
    """Return what `advance` kept, as it was; None at first."""
    return connection.scalar(select(jobs.c.progress).where(jobs.c.id == job_id))


def find(connection: Connection, job_id: UUID) -> Stored | None:
    row = connection.execute(_select().where(jobs.c.id == job_id)).first()
    return None if row is None else _stored(row)


def find_finished(connection: Connection, job_ids: Sequence[UUID]) -> list[Job]:
    rows = connection.execute(FIND_FINISHED, {"ids": list(job_ids)})
    return [job(row) for row in rows]


FIND_FINISHED = text(f"""
    SELECT id, kind, state, created_at, finished_at, result, error, {SHOWN_PROGRESS} AS shown_progress FROM jobs
     WHERE id = ANY(CAST(:ids AS uuid[])) AND state <> 'queued'
""")  # noqa: S608 - a constant


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of jobs is narrowed to; None leaves it open."""

    caller: str | None = None
    state: JobState | None = None
    kind: Kind | None = None


def page(connection: Connection, wanted: Filter, before: UUID | None, limit: int) -> list[Job]:
    """Return at most `limit` jobs, newest first, that are older than `before`; bulks without their items."""
    place = cast(jobs.c.id, Text) if wanted.state is JobState.QUEUED else jobs.c.id  # The same order: see below.
    query = _select(literal_column(BRIEF_RESULT).label("result")).order_by(place.desc()).limit(limit)
    conditions = [
        jobs.c[name] == literal(value, literal_execute=name in NAMED_BY_INDEXES)
        for name in wanted.__struct_fields__
        if (value := getattr(wanted, name)) is not None
    ]
    if before is not None:
        conditions.append(jobs.c.id < before)
    return [job(row) for row in connection.execute(query.where(*conditions))]


# Few jobs are queued, and no index has them in the order of ids. Ordered by one, a planner may look for them
# among all that are not; ordered by what no index has, it sorts those that are.
NAMED_BY_INDEXES = {"state", "kind"}  # A partial index is used only where a constant says that it will do.


def cancel(connection: Connection, job_id: UUID) -> bool:
    """Take a job back; False when it had ended, or ended while this waited for its settlement."""
    return bool(connection.scalar(text("SELECT cancel_job(:id)"), {"id": job_id}))


def requeue(connection: Connection, job_ids: Sequence[UUID] | None) -> list[UUID]:
    """Give failed jobs (None: all of them) a new set of attempts."""
    rows = connection.execute(REQUEUE, {"every": job_ids is None, "ids": list(job_ids or [])})
    return [row.id for row in rows]


REQUEUE = text("""
    UPDATE jobs SET state = 'queued', finished_at = NULL, error = NULL, attempts = 0, due_at = now()
     WHERE state = 'failed' AND (:every OR id = ANY(CAST(:ids AS uuid[])))
 RETURNING id
""")


def overdue(connection: Connection, seconds: float) -> list[Overdue]:
    """Return, per queue, the jobs that have been due for `seconds` or longer."""
    rows = connection.execute(OVERDUE, {"seconds": seconds})
    return [
        Overdue(queue=Queue(row.queue), count=row.jobs, first_id=row.first_id, is_suspect=row.is_suspect)
        for row in rows
    ]


OVERDUE = text("""
    SELECT queue, count(*) AS jobs, CAST(min(CAST(id AS text)) AS uuid) AS first_id, bool_or(attempts > 0) AS is_suspect
      FROM jobs
     WHERE state = 'queued'
       AND (due_at <= clock_timestamp() - make_interval(secs => :seconds)
            OR due_at = created_at AND created_at > clock_timestamp())
     GROUP BY queue
""")


def open_counts(connection: Connection, callers: Sequence[str], most: int) -> dict[str, int]:
    """Return how many jobs each caller has queued, a bulk as its items, looking at no more than `most` of them."""
    rows = without_sorts(connection, OPEN_COUNTS, {"callers": list(callers), "most": most})
    return {row.caller: row.jobs for row in rows}


OPEN_COUNTS = text("""
    SELECT wanted.caller, counted.jobs FROM unnest(CAST(:callers AS text[])) AS wanted (caller),
      LATERAL (SELECT CAST(coalesce(sum(coalesce(items, 1)), 0) AS bigint) AS jobs
                 FROM (SELECT items FROM jobs
                        WHERE jobs.caller BETWEEN wanted.caller AND wanted.caller AND state = 'queued'
                        ORDER BY jobs.caller, queue, id LIMIT :most) AS queued) AS counted
""")


# 200 results of a thousand items would be 20 MB.
BRIEF_RESULT = "CASE WHEN jobs.kind = 'bulk_transfer.create' THEN jobs.result - 'items' ELSE jobs.result END"


def _select(result: ColumnElement[Any] = jobs.c.result) -> Select[Any]:
    return select(
        jobs.c.id,
        jobs.c.kind,
        jobs.c.state,
        jobs.c.created_at,
        jobs.c.finished_at,
        result,
        jobs.c.error,
        literal_column(SHOWN_PROGRESS).label("shown_progress"),
        jobs.c.caller,
        jobs.c.fingerprint,
    )


def job(row: Row[Any]) -> Job:
    """Return the job of a row that names its progress, which most jobs have not, `shown_progress`."""
    plain = msgspec.convert(row, Job, from_attributes=True)
    if row.shown_progress is None:
        return plain
    return msgspec.structs.replace(plain, progress=msgspec.convert(row.shown_progress, Progress))


def _stored(row: Row[Any]) -> Stored:
    return Stored(job=job(row), caller=row.caller, fingerprint=row.fingerprint)
