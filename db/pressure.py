"""How much waits in the queues, and whose it is: asked all the time, so that an answer costs little."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, text

import db.turns
from db.jobs import IN_QUEUE, without_sorts
from domain.jobs import Queue
from domain.pressure import Load

NEWEST = 5_000  # Jobs that show who queues now: whoever fills a queue has many of them.
CALLERS_MAX = 100  # Of those, the ones with most, whose queued jobs are counted.


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How far is counted."""

    shallow_jobs: int  # No caller is asked for when there are no more.
    jobs_max: int


def loads(connection: Connection, queues: Sequence[Queue], bounds: Bounds) -> dict[Queue, Load]:
    """Return what waits in each queue; whose it is only of those that are deep."""
    values = {"queues": [queue.value for queue in queues], "most": bounds.shallow_jobs + 1}
    found = {Queue(row.queue): Load(jobs=row.jobs) for row in connection.execute(DEPTHS, values)}
    deep = [queue for queue, load in found.items() if load.jobs > bounds.shallow_jobs]
    return found | {queue: _of_callers(connection, queue, found[queue].jobs, bounds.jobs_max) for queue in deep}


def _of_callers(connection: Connection, queue: Queue, jobs_min: int, jobs_max: int) -> Load:
    """Count jobs; items of bulks, among the oldest, are `jobs_min`."""
    values = {
        "queue": queue.value,
        "least": jobs_min,
        "most": jobs_max,
        "newest": NEWEST,
        "callers_max": CALLERS_MAX,
        "leaps_max": db.turns.CALLERS_MAX,
    }
    rows = without_sorts(connection, OF_CALLERS, values)
    if not rows:  # It was emptied since.
        return Load(jobs=0)
    return Load(
        jobs=rows[0].all_jobs,
        oldest_seconds=rows[0].oldest_seconds,
        callers=rows[0].callers,
        queueing={row.caller: row.jobs for row in rows},
    )


DEPTHS = text("""
    SELECT wanted.queue, counted.jobs
      FROM unnest(CAST(:queues AS text[])) AS wanted (queue),
           LATERAL (SELECT CAST(coalesce(sum(coalesce(items, 1)), 0) AS bigint) AS jobs
                      FROM (SELECT items FROM jobs
                             WHERE jobs.queue BETWEEN wanted.queue AND wanted.queue AND state = 'queued'
                             ORDER BY jobs.queue, id LIMIT :most) AS head) AS counted
""")
# The oldest job that was never put off says how late the queue is. Callers are counted by leaps, and a caller's jobs
# along an index, as in `db.turns`: to one above its share.
OF_CALLERS = text(f"""
    WITH RECURSIVE turns AS (
        (SELECT caller, 1 AS place FROM jobs WHERE {IN_QUEUE} ORDER BY caller, queue, id LIMIT 1)
        UNION ALL
        SELECT following.caller, turns.place + 1
          FROM turns, LATERAL (SELECT caller FROM jobs
                                WHERE {IN_QUEUE} AND caller > turns.caller
                                ORDER BY caller, queue, id LIMIT 1) AS following
         WHERE turns.place < :leaps_max
    ), whole AS (
        SELECT greatest(count(*), :least) AS jobs, greatest((SELECT count(*) FROM turns), 1) AS callers
          FROM (SELECT FROM jobs WHERE {IN_QUEUE} ORDER BY queue, id LIMIT :most) AS head
    ), pushing AS (
        SELECT caller FROM (SELECT caller FROM jobs WHERE {IN_QUEUE}
                             ORDER BY queue DESC, id DESC LIMIT :newest) AS newest
         GROUP BY caller ORDER BY count(*) DESC LIMIT :callers_max
    )
    SELECT pushing.caller, own.jobs, whole.jobs AS all_jobs, whole.callers,
           coalesce((SELECT CAST(extract(epoch FROM clock_timestamp() - created_at) AS double precision)
                       FROM (SELECT created_at, due_at FROM jobs WHERE {IN_QUEUE}
                              ORDER BY queue, id LIMIT :most) AS head
                      WHERE due_at = created_at LIMIT 1), 0) AS oldest_seconds
      FROM whole, pushing, LATERAL (
           SELECT CAST(coalesce(sum(coalesce(items, 1)), 0) AS bigint) AS jobs
             FROM (SELECT items FROM jobs
                    WHERE caller BETWEEN pushing.caller AND pushing.caller AND {IN_QUEUE}
                    ORDER BY caller, queue, id LIMIT (SELECT jobs / callers + 1 FROM whole)) AS counted) AS own
""")  # noqa: S608 - a constant
