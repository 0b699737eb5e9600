"""Replays: events of the past, sent to an endpoint again."""

from uuid import UUID

import msgspec

import db.jobs
import db.replays
import db.webhooks
import domain.replays
from db.engine import Connection
from db.replays import Chunk
from domain.errors import Rejection
from domain.events import first_id
from domain.jobs import Claimed, Outcome, rejected, succeeded
from domain.replays import REPLAY_EVENTS_MAX, Replay, ReplayProgress

CHUNK_EVENTS = 1_000  # As many as a batch of jobs; then others have their turn.
REPLAYS_AT_ONCE = 10  # In one transaction, a chunk of 20 ms each.


def replay(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    """Settle `webhook.replay` jobs by a chunk each. What has more to do stays queued, with its progress."""
    outcomes = (_advance(tx, job_id, one) for job_id, one in domain.replays.replays(batch[:REPLAYS_AT_ONCE]).items())
    return [outcome for outcome in outcomes if outcome is not None]


def _advance(tx: Connection, job_id: UUID, one: Replay) -> Outcome | None:
    owned = db.webhooks.find(tx, one.endpoint_id)
    if owned is None:
        return rejected(job_id, Rejection.ENDPOINT_NOT_FOUND)
    if not owned.endpoint.enabled:
        return rejected(job_id, Rejection.ENDPOINT_DISABLED)
    span = (first_id(one.begin), first_id(one.end))
    so_far = _progress(tx, job_id)
    if so_far is None:
        size = db.replays.size(tx, one.endpoint_id, span, REPLAY_EVENTS_MAX + 1)
        if size.events > REPLAY_EVENTS_MAX:
            return rejected(job_id, Rejection.REPLAY_TOO_LARGE)
        so_far = ReplayProgress(total=size.heard)
    first = span[0] if so_far.latest_id is None else UUID(int=so_far.latest_id.int + 1)
    rest = (first, span[1])
    chunk = db.replays.replay(tx, one.endpoint_id, rest, only_failed=one.only_failed, events_max=CHUNK_EVENTS)
    is_last = chunk.events < CHUNK_EVENTS
    progress = _advanced(so_far, chunk, is_last=is_last)
    db.jobs.advance(tx, job_id, progress)
    return succeeded(job_id, events=progress.total, deliveries=progress.deliveries) if is_last else None


def _progress(tx: Connection, job_id: UUID) -> ReplayProgress | None:
    kept = db.jobs.progress(tx, job_id)
    return None if kept is None else msgspec.convert(kept, ReplayProgress)


def _advanced(so_far: ReplayProgress, chunk: Chunk, *, is_last: bool) -> ReplayProgress:
    """Events that were committed late may make it more than was counted at first."""
    done = so_far.done + chunk.heard
    return ReplayProgress(
        done=so_far.total if is_last else min(done, so_far.total),
        total=so_far.total,
        deliveries=so_far.deliveries + chunk.deliveries,
        latest_id=chunk.last_id or so_far.latest_id,
    )
