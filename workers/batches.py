"""The worker's engine: claim a batch, settle it, record how each job ended, in one transaction.

Effect and outcome share a commit, so a job is applied exactly once. A batch that fails, or dies with
its worker, comes back in smaller batches until the guilty job is alone (see `domain.jobs`).
"""

import math
import random
import time
from collections import Counter
from contextlib import ExitStack
from functools import lru_cache
from itertools import groupby
from uuid import UUID

import msgspec
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars
from uuid_utils.compat import uuid7

import db.jobs
import db.leases
import tracing
from db.engine import Connection, autocommit, is_conflict, is_retryable, is_unavailable, transaction
from db.leases import Counted
from domain.jobs import Claimed, Outcome, Queue
from settings import settings
from workers import metrics, notices
from workers.bell import Bell
from workers.kinds import SETTLERS
from workers.turns import turns_of

DRAIN_SECONDS = 10  # Then the task ends, so that Flower sees progress; the next ring is already waiting.
# A message costs its sender and a worker several milliseconds, to look whether more jobs have come half of one.
LINGER_SECONDS = 0.02
LOOK_SECONDS = 0.005
# Under load jobs gather after a batch, as they do after a flush of the API's: ten jobs cost little more than one.
REST_SECONDS_PER_JOB = 0.0001
REST_SECONDS_MAX = 0.005
TRIES = 5  # A deadlock or lock timeout passes by then; otherwise something holds the locks for long.
RETRY_SECONDS = 0.05  # Times a random factor and the try's number: two colliding batches part.

log = structlog.get_logger()


class LeaseLost(Exception):
    """The sweeper took this worker for dead; its jobs come again."""


def drain(queue: Queue, seconds: float = DRAIN_SECONDS, linger_seconds: float = 0.0) -> dict[str, int]:
    """Settle batches of `queue` until nothing is due or `seconds` have passed; count how the jobs ended.

    After a batch it looks for others until none has come for `linger_seconds`.
    """
    counts: Counter[str] = Counter(succeeded=0, rejected=0)
    began, settled = time.monotonic(), -math.inf
    while True:
        outcomes = settle_next(queue)
        now = time.monotonic()
        if outcomes is not None:
            counts.update(one.state.value for one in outcomes)
            settled = now
        if now - began > seconds or (outcomes is None and now - settled >= linger_seconds):
            clear_contextvars()  # An exception leaves them: whoever logs it says which batch it was.
            return dict(counts)
        time.sleep(LOOK_SECONDS if outcomes is None else rest_seconds(len(outcomes), settings().batch_max))


def rest_seconds(settled: int, batch_max: int) -> float:
    """Return how long jobs gather after a batch: not at all after a single one, nor after a full batch."""
    return 0.0 if settled <= 1 or settled >= batch_max else min(settled * REST_SECONDS_PER_JOB, REST_SECONDS_MAX)


def settle_next(queue: Queue) -> list[Outcome] | None:
    """Settle one batch and return its outcomes, or None when nothing is due.

    Raises:
        DatabaseError: it is unavailable, or so busy that every try failed. What the batch did is unknown here;
            its rows know.

    """
    try:
        settled = _settle_with_patience(queue)
    except Exception:
        metrics.batches().given_up.labels(queue).inc()
        raise
    if settled is None:
        return None
    if settled.batch:
        metrics.batches().settled(queue, settled.batch, settled.outcomes, settled.seconds)
    ids = [one.job_id for one in settled.outcomes]
    notices.publish(ids)
    if ids and any(job.has_listener for job in settled.batch):
        _bell().ring(Queue.WEBHOOKS, len(ids), ids[0])
    return settled.outcomes


@lru_cache(maxsize=1)
def _bell() -> Bell:
    """Return this process's bell: money does not wait until a message about it is published."""
    return Bell()


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch."""

    outcomes: list[Outcome]
    batch: list[Claimed] = []  # Of one that did not fail.
    seconds: float = 0.0


def _settle_with_patience(queue: Queue) -> Settled | None:
    """Try again what passes on another try; count an attempt for what does not."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(RETRY_SECONDS * attempt * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        lease_id = uuid7()
        clear_contextvars()
        bind_contextvars(queue=queue, lease_id=lease_id)
        try:
            return _settle_batch(queue, lease_id)
        except Exception as error:
            if is_unavailable(error):
                raise
            if not (is_retryable(error) or is_conflict(error)):
                log.exception("batch failed")
                return _failed(queue, lease_id)
            metrics.batches().conflicts.labels(queue).inc()
            _return_lease(lease_id)
            last = error
    raise last


def _failed(queue: Queue, lease_id: UUID) -> Settled:
    with transaction(settings().database_worker_url) as tx:
        counted = count_attempt(tx, lease_id)
    metrics.batches().failed.labels(queue).inc()
    metrics.batches().attempted(counted.kinds, counted.exhausted)
    return Settled(outcomes=counted.exhausted)


def _settle_batch(queue: Queue, lease_id: UUID) -> Settled | None:
    began = time.perf_counter()
    with ExitStack() as traced:  # The commit too.
        with transaction(settings().database_worker_url) as tx:
            batch = turns_of(queue).claim(tx)
            if not batch:
                return None
            # In order of arrival, so that two ids say whose batch it is, where a thousand would be 40 kB.
            bind_contextvars(jobs=len(batch), first_job_id=batch[0].id, last_job_id=batch[-1].id)
            traced.enter_context(tracing.batch("settle", batch, {"tekana.queue": queue, "tekana.lease_id": lease_id}))
            outcomes = _settle_claimed(tx, lease_id, batch)
        seconds = time.perf_counter() - began
        _log_settled(outcomes, seconds)
    return Settled(outcomes=outcomes, batch=batch, seconds=seconds)


def _settle_claimed(tx: Connection, lease_id: UUID, batch: list[Claimed]) -> list[Outcome]:
    _take_lease(lease_id, batch)
    if not db.leases.drop(tx, lease_id):
        raise LeaseLost(str(lease_id))
    outcomes = _settle(tx, batch)
    db.jobs.finish(tx, outcomes)
    return outcomes


def _log_settled(outcomes: list[Outcome], seconds: float) -> None:
    counts = Counter(str(one.state if one.error is None else one.error.code) for one in outcomes)
    log.info("batch settled", seconds=round(seconds, 3), outcomes=dict(counts))


def _settle(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for settle, jobs in groupby(batch, key=lambda job: SETTLERS[job.kind]):
        outcomes += settle(tx, list(jobs))
    return outcomes


def _take_lease(lease_id: UUID, batch: list[Claimed]) -> None:
    with autocommit(settings().database_worker_url) as beside:
        db.leases.take(beside, lease_id, [job.id for job in batch], batch[0].attempts)


def _return_lease(lease_id: UUID) -> None:
    with transaction(settings().database_worker_url) as tx:
        db.leases.drop(tx, lease_id)


def count_attempt(tx: Connection, *lease_ids: UUID) -> Counted:
    """Count an attempt for the jobs of batches that failed, and end those it was the last for."""
    counted = db.leases.count_attempt(tx, *lease_ids)
    if counted.exhausted:
        db.jobs.finish(tx, counted.exhausted)
        log.error("jobs given up", job_ids=[one.job_id for one in counted.exhausted])
    return counted
