"""What workers, the sweeper and the bell count: a few times a batch, never for each job.

Made when a process asks for them first, not at import: in a pool child that is after it has been told where its
counts go (see `workers.exposition`).
"""

import time
from collections import Counter as Tally
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from uuid import UUID

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from domain.jobs import ATTEMPTS_EXHAUSTED, QUEUE_OF, Claimed, JobState, Kind, Outcome, Queue

JOBS_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)  # Up to the largest BATCH_MAX.
BATCH_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)  # A task is killed after 25 s.
ITEM_STATES = (JobState.SUCCEEDED, JobState.REJECTED)  # What a bulk's result counts.
AGE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 300, 3_600)  # 15 s is the promise.
SWEEP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Rings:
    """Of whoever announces jobs: the API, workers (to the courier) and the sweeper."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent = Counter("tekana_rings", "Messages that announced jobs.", ["queue"], registry=registry)
        self.jobs = Counter("tekana_rung_jobs", "Jobs that messages announced.", ["queue"], registry=registry)
        self.failed = Counter(
            "tekana_rings_failed",
            "Announcements that the broker did not take; the sweeper repeats them.",
            registry=registry,
        )


class Batches:
    """Of whoever settles jobs: workers, and the sweeper where nobody else does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.jobs = Histogram(
            "tekana_batch_jobs", "Jobs of a batch.", ["queue"], buckets=JOBS_BUCKETS, registry=registry
        )
        self.seconds = Histogram(
            "tekana_batch_seconds",
            "Time to settle a batch, from the claim to the commit.",
            ["queue"],
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self.age = Histogram(
            "tekana_batch_oldest_job_age_seconds",
            "Time from the acceptance of a batch's oldest job to the commit that ended it.",
            ["queue"],
            buckets=AGE_BUCKETS,
            registry=registry,
        )
        self.finished = Counter(
            "tekana_jobs_finished",
            "Jobs that ended, by how; `code` says why, unless they succeeded.",
            ["kind", "state", "code"],
            registry=registry,
        )
        self.items = Counter(
            "tekana_bulk_items",
            "Items of bulk transfers that were settled, by how each of them ended.",
            ["state"],
            registry=registry,
        )
        self.attempts = Counter(
            "tekana_job_attempts_counted",
            "Jobs that an attempt was counted for, because their batch failed or its worker died.",
            ["kind"],
            registry=registry,
        )
        self.conflicts = Counter(
            "tekana_batch_conflicts",
            "Batches that were tried again at once: another transaction held or took what they needed.",
            ["queue"],
            registry=registry,
        )
        self.failed = Counter(
            "tekana_batches_failed", "Batches that raised an error of their own.", ["queue"], registry=registry
        )
        self.given_up = Counter(
            "tekana_batches_given_up",
            "Batches left to a later ring: the database was away, or too busy at every try.",
            ["queue"],
            registry=registry,
        )

    def expect(self, queues: Collection[str]) -> None:
        """Begin at 0 for what a process of these queues may count: only what has been 0 is seen to rise."""
        for queue in queues:
            for counter in (self.conflicts, self.failed, self.given_up):
                counter.labels(queue)
        for kind in [kind for kind, queue in QUEUE_OF.items() if queue in queues]:
            self.attempts.labels(kind)
            self.finished.labels(kind, JobState.SUCCEEDED, "")
            self.finished.labels(kind, JobState.FAILED, ATTEMPTS_EXHAUSTED.code)
        if Queue.TRANSACTIONS in queues:
            for state in ITEM_STATES:
                self.items.labels(state)

    def settled(self, queue: Queue, batch: Sequence[Claimed], outcomes: Sequence[Outcome], seconds: float) -> None:
        """Count a batch whose transaction was committed."""
        self.jobs.labels(queue).observe(len(batch))
        self.seconds.labels(queue).observe(seconds)
        self.age.labels(queue).observe(max(time.time() - accepted_at(batch[0].id), 0.0))
        self.ended({job.id: job.kind for job in batch}, outcomes)

    def ended(self, kinds: Mapping[UUID, str], outcomes: Sequence[Outcome]) -> None:
        ends = Tally((kinds[one.job_id], one.state, "" if one.error is None else one.error.code) for one in outcomes)
        for (kind, state, code), jobs in ends.items():
            self.finished.labels(kind, state, code).inc(jobs)
        settled = [one.result for one in outcomes if one.result and kinds[one.job_id] == Kind.BULK_TRANSFER_CREATE]
        for state in ITEM_STATES if settled else ():
            self.items.labels(state).inc(sum(result[state] for result in settled))

    def attempted(self, kinds: Mapping[UUID, str], exhausted: Sequence[Outcome]) -> None:
        """Count an attempt of these jobs, which for some was the last."""
        for kind, jobs in Tally(kinds.values()).items():
            self.attempts.labels(kind).inc(jobs)
        self.ended(kinds, exhausted)


class Sweeps:
    """Of the sweeper."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sweeps = Counter(
            "tekana_sweeps",
            "Sweeps: done, left to another copy that was at it, or failed.",
            ["result"],
            registry=registry,
        )
        self.seconds = Histogram(
            "tekana_sweep_seconds", "Time of a sweep that was done.", buckets=SWEEP_BUCKETS, registry=registry
        )
        self.interrupted = Counter(
            "tekana_interrupted_batches", "Batches whose worker died, freed by the sweeper.", registry=registry
        )
        self.rung = Counter(
            "tekana_sweeper_rings", "Queues that the sweeper rang for, because jobs were overdue.", registry=registry
        )
        self.drained = Counter(
            "tekana_sweeper_settled_jobs",
            "Jobs that the sweeper settled itself, since nobody else did.",
            registry=registry,
        )
        for result in ("done", "left", "failed"):
            self.sweeps.labels(result)


class Upkeep:
    """Of housekeeping."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.runs = Counter(
            "tekana_maintenance_runs", "Housekeeping that was done, by task.", ["task"], registry=registry
        )


@lru_cache(maxsize=1)
def rings() -> Rings:
    return Rings(REGISTRY)


@lru_cache(maxsize=1)
def batches() -> Batches:
    return Batches(REGISTRY)


@lru_cache(maxsize=1)
def sweeps() -> Sweeps:
    return Sweeps(REGISTRY)


@lru_cache(maxsize=1)
def upkeep() -> Upkeep:
    return Upkeep(REGISTRY)


def expect(queues: Collection[str]) -> None:
    """Begin to count in a process that serves these queues."""
    rings()
    batches().expect(queues)
    if Queue.MAINTENANCE in queues:
        for task in ("fold", "seal", "purge"):
            upkeep().runs.labels(task)


def accepted_at(job_id: UUID) -> float:
    """Return when a job was accepted, in seconds since 1970: its id begins with the milliseconds (RFC 9562, 5.7)."""
    return (job_id.int >> 80) / 1_000
