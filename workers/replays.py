"""Replays: events of the past, sent to an endpoint again."""

import random
from uuid import UUID

import msgspec

import db.jobs
import db.replays
import db.webhooks
import domain.replays
from db.engine import Connection
from domain.errors import Rejection
from domain.events import first_id
from domain.jobs import Claimed, Outcome, rejected, succeeded
from domain.replays import REPLAY_EVENTS_MAX, Chunk, Replay, ReplayProgress

CHUNK_EVENTS = 1_000  # As many as a batch of jobs; then others have their turn.
COUNT_EVENTS = 5_000  # 7 ms: a transaction that writes and stays open holds up what is told of all others.
REPLAYS_AT_ONCE = 10  # In one transaction, a chunk of 20 ms each.


def replay(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    """Settle `webhook.replay` jobs by a chunk each. What has more to do stays queued, with its progress.

    Which ones is drawn by lot, so that a short one does not wait for all long ones before it.
    """
    places = sorted(random.sample(range(len(batch)), min(len(batch), REPLAYS_AT_ONCE)))
    drawn = [batch[place] for place in places]
    outcomes = (_advance(tx, job_id, one) for job_id, one in domain.replays.replays(drawn).items())
    return [outcome for outcome in outcomes if outcome is not None]


def _advance(tx: Connection, job_id: UUID, one: Replay) -> Outcome | None:
    owned = db.webhooks.find(tx, one.endpoint_id)
    if owned is None:
        return rejected(job_id, Rejection.ENDPOINT_NOT_FOUND)
    if not owned.endpoint.enabled:
        return rejected(job_id, Rejection.ENDPOINT_DISABLED)
    so_far = _count_on(tx, one, _progress(tx, job_id))
    if so_far.looked_at > REPLAY_EVENTS_MAX:
        return rejected(job_id, Rejection.REPLAY_TOO_LARGE)
    if not so_far.is_counted:
        db.jobs.advance(tx, job_id, so_far)
        return None
    return _send_on(tx, job_id, one, so_far)


def _progress(tx: Connection, job_id: UUID) -> ReplayProgress:
    kept = db.jobs.progress(tx, job_id)
    return ReplayProgress(is_counted=False) if kept is None else msgspec.convert(kept, ReplayProgress)


def _count_on(tx: Connection, one: Replay, so_far: ReplayProgress) -> ReplayProgress:
    """Count some more of the events of the time, as long as there are any."""
    if so_far.is_counted:
        return so_far
    size = db.replays.size(tx, one.endpoint_id, _rest(one, so_far.counted_id), COUNT_EVENTS)
    return ReplayProgress(
        is_counted=size.events < COUNT_EVENTS,
        looked_at=so_far.looked_at + size.events,
        counted_id=size.last_id or so_far.counted_id,
        total=so_far.total + size.heard,
    )


def _send_on(tx: Connection, job_id: UUID, one: Replay, so_far: ReplayProgress) -> Outcome | None:
    rest = _rest(one, so_far.latest_id)
    chunk = db.replays.replay(tx, one.endpoint_id, rest, only_failed=one.only_failed, events_max=CHUNK_EVENTS)
    is_last = chunk.events < CHUNK_EVENTS
    progress = _advanced(so_far, chunk, is_last=is_last)
    db.jobs.advance(tx, job_id, progress)
    return succeeded(job_id, events=progress.total, deliveries=progress.deliveries) if is_last else None


def _rest(one: Replay, latest_id: UUID | None) -> tuple[UUID, UUID]:
    """Return the ids of the events that are still to be looked at after `latest_id`: the first, and the end."""
    first = first_id(one.begin) if latest_id is None else UUID(int=latest_id.int + 1)
    return first, first_id(one.end)


def _advanced(so_far: ReplayProgress, chunk: Chunk, *, is_last: bool) -> ReplayProgress:
    """Events that were committed late may make it more than was counted at first."""
    done = so_far.done + chunk.heard
    return msgspec.structs.replace(
        so_far,
        done=so_far.total if is_last else min(done, so_far.total),
        deliveries=so_far.deliveries + chunk.deliveries,
        latest_id=chunk.last_id or so_far.latest_id,
    )
