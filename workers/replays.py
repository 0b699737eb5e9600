"""Replays: events of the past, sent to an endpoint again."""

from uuid import UUID

import msgspec
from msgspec.structs import replace

import db.jobs
import db.outbox
import db.webhooks
import domain.webhooks
from db.engine import Connection
from domain.errors import Rejection
from domain.events import first_id
from domain.jobs import Claimed, Outcome, rejected, succeeded
from domain.webhooks import REPLAY_EVENTS_MAX, Replay, ReplayProgress

CHUNK_EVENTS = 1_000  # In one transaction, as many as a batch of jobs; then others have their turn.


def replay(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    """Settle `webhook.replay` jobs by a chunk each. What has more to do stays queued, with its progress."""
    outcomes = (_advance(tx, job_id, one) for job_id, one in domain.webhooks.replays(batch).items())
    return [outcome for outcome in outcomes if outcome is not None]


def _advance(tx: Connection, job_id: UUID, one: Replay) -> Outcome | None:
    owned = db.webhooks.find(tx, one.endpoint_id)
    if owned is None:
        return rejected(job_id, Rejection.ENDPOINT_NOT_FOUND)
    if not owned.endpoint.enabled:
        return rejected(job_id, Rejection.ENDPOINT_DISABLED)
    progress = _progress(tx, job_id, one)
    if progress.total > REPLAY_EVENTS_MAX:
        return rejected(job_id, Rejection.REPLAY_TOO_LARGE)
    after = _send_chunk(tx, one, progress)
    db.jobs.advance(tx, job_id, after)
    return succeeded(job_id, events=after.total, deliveries=after.deliveries) if after.is_complete else None


def _progress(tx: Connection, job_id: UUID, one: Replay) -> ReplayProgress:
    kept = db.jobs.progress(tx, job_id)
    if kept is not None:
        return msgspec.convert(kept, ReplayProgress)
    total = db.outbox.count_events(tx, first_id(one.begin), first_id(one.end), REPLAY_EVENTS_MAX + 1)
    return ReplayProgress(total=total)


def _send_chunk(tx: Connection, one: Replay, so_far: ReplayProgress) -> ReplayProgress:
    first = first_id(one.begin) if so_far.latest_id is None else UUID(int=so_far.latest_id.int + 1)
    span = (first, first_id(one.end))
    chunk = db.outbox.replay(tx, one.endpoint_id, span, only_failed=one.only_failed, events_max=CHUNK_EVENTS)
    is_last = chunk.events < CHUNK_EVENTS
    return replace(
        so_far,
        done=so_far.total if is_last else min(so_far.done + chunk.events, so_far.total - 1),
        deliveries=so_far.deliveries + chunk.deliveries,
        latest_id=chunk.last_id,
    )
