"""Claiming a deep queue in turn: each caller's oldest jobs, so that nobody waits behind all that another has queued."""

import msgspec
from sqlalchemy import Connection, text

import db.jobs
from domain.jobs import Claimed, Queue

# A caller is found and asked for its jobs in 10 microseconds: 5 ms at most, of a batch that takes more than 150.
CALLERS_MAX = 500


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    batch: list[Claimed]
    last_caller: str = ""  # After whom the next turn begins; empty when all callers had theirs.


def claim(connection: Connection, queue: Queue, batch_max: int, after: str = "") -> Turn:
    """Lock due jobs of `queue` as `db.jobs.claim` does, and return them in order of arrival.

    A batch has the same room for each of the callers that come `after` one in the alphabet, CALLERS_MAX at most. What
    they do not need is the oldest jobs'. Of each caller the oldest jobs are taken, so that its own order is kept. A
    bulk counts as many as it has items; each caller's first job has room, whatever its size, as long as the batch has.
    """
    parameters = db.jobs.claimable(queue, batch_max) | {"after": after, "callers_max": CALLERS_MAX}
    rows = db.jobs.without_sorts(connection, CLAIM, parameters)
    if not rows:
        return Turn(batch=[])
    fitting = db.jobs.fitting(rows, rows[0].most)
    is_cut = len(fitting) < len(rows)
    batch = db.jobs.claimed(connection, sorted(fitting, key=lambda row: row.id))
    # Where only the oldest jobs' part was cut, all who were found had their turn: whose is last there is anybody.
    is_cut_in_turn = is_cut and fitting[-1].turn == OWN
    return Turn(batch=batch, last_caller=fitting[-1].caller if is_cut_in_turn else rows[0].last_caller)


OWN = 0  # The `turn` of what a caller's own share brought, and not the oldest jobs' part.


# `turns` leaps through the index from caller to caller. BETWEEN has each caller's jobs be taken from the index that has
# them in order, whatever the planner thinks of the table: see `db.jobs.IN_QUEUE`.
CLAIM = text(f"""
    WITH RECURSIVE head AS (
        SELECT attempts, (CAST(:limits AS int[]))[least(attempts + 1, cardinality(CAST(:limits AS int[])))] AS most
          FROM jobs
         WHERE {db.jobs.IN_QUEUE} AND {db.jobs.IS_DUE} AND kind = ANY(CAST(:kinds AS text[]))
         ORDER BY queue, id LIMIT 1 FOR UPDATE SKIP LOCKED
    ), turns AS (
        (SELECT caller, 1 AS place FROM jobs
          WHERE {db.jobs.IN_QUEUE} AND caller > :after ORDER BY caller, queue, id LIMIT 1)
        UNION ALL
        SELECT following.caller, turns.place + 1
          FROM turns, LATERAL (SELECT caller FROM jobs
                                WHERE {db.jobs.IN_QUEUE} AND caller > turns.caller
                                ORDER BY caller, queue, id LIMIT 1) AS following
         WHERE turns.place < :callers_max
    ), share AS (
        SELECT CASE WHEN callers = :callers_max THEN last_caller ELSE '' END AS last_caller,
               greatest(1, most / CASE WHEN :after = '' THEN greatest(callers, 1) ELSE :callers_max END) AS jobs
          FROM head, (SELECT count(*) AS callers, max(caller) AS last_caller FROM turns) AS found
    ), fair AS (
        SELECT own.*, 0 AS turn FROM turns, LATERAL (
            SELECT id, kind, payload, caller, callback_url, trace_context, items, attempts FROM jobs
             WHERE caller BETWEEN turns.caller AND turns.caller AND {db.jobs.IN_QUEUE}
               AND {db.jobs.IS_DUE} AND kind = ANY(CAST(:kinds AS text[])) AND attempts = (SELECT attempts FROM head)
             ORDER BY caller, queue, id
             LIMIT (SELECT greatest(1, count(*)) FROM share, (
                        SELECT sum(coalesce(items, 1)) OVER (ORDER BY id) AS jobs FROM (
                            SELECT id, items FROM jobs
                             WHERE caller BETWEEN turns.caller AND turns.caller AND {db.jobs.IN_QUEUE}
                             ORDER BY caller, queue, id LIMIT (SELECT jobs FROM share)) AS ahead) AS counted
                     WHERE counted.jobs <= share.jobs)
               FOR UPDATE SKIP LOCKED) AS own
         LIMIT (SELECT most FROM head)
    ), room AS (
        SELECT most - (SELECT coalesce(sum(coalesce(items, 1)), 0) FROM fair) AS jobs FROM head
    ), rest AS (
        SELECT id, kind, payload, caller, callback_url, trace_context, items, attempts, 1 AS turn FROM jobs
         WHERE {db.jobs.IN_QUEUE} AND {db.jobs.IS_DUE} AND kind = ANY(CAST(:kinds AS text[]))
           AND attempts = (SELECT attempts FROM head) AND id NOT IN (SELECT id FROM fair)
         ORDER BY queue, id
         LIMIT (SELECT count(*) FROM room, (
                    SELECT sum(coalesce(items, 1)) OVER (ORDER BY id) AS jobs FROM (
                        SELECT id, items FROM jobs
                         WHERE {db.jobs.IN_QUEUE} AND id NOT IN (SELECT id FROM fair)
                         ORDER BY queue, id LIMIT (SELECT greatest(0, jobs) FROM room)) AS ahead) AS counted
                 WHERE counted.jobs <= room.jobs)
           FOR UPDATE SKIP LOCKED
    )
    SELECT id, kind, CASE WHEN items IS NULL THEN CAST(payload AS text) END AS payload, caller,
           {db.jobs.HAS_LISTENER} AS has_listener, trace_context, items, attempts, turn,
           (SELECT last_caller FROM share) AS last_caller, (SELECT most FROM head) AS most
      FROM (SELECT * FROM fair UNION ALL SELECT * FROM rest) AS claimed
     ORDER BY turn, caller, id
""")  # noqa: S608 - a constant
