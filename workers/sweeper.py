"""The sweeper: rings again for jobs that nobody took, frees those that a death interrupted, settles abandoned ones.

A process of its own, so that it does not depend on the queue it repairs. Any number of copies may
run; an advisory lock lets one of them look at a time. `python -m workers.sweeper` starts one.
"""

import signal
import threading
import time
from uuid import UUID

import msgspec
import structlog
from prometheus_client import REGISTRY

import db.jobs
import db.leases
import db.locks
import db.outbox
import db.roles
import exposed
import process
import tracing
from db.engine import DatabaseError, transaction
from db.jobs import Overdue
from db.leases import Counted
from db.roles import Side
from domain.jobs import Queue
from settings import settings
from workers import batches, bell, exposition, heartbeat, metrics, notices

PERIOD_SECONDS = 1.0
OVERDUE_SECONDS = 1.0  # A rung job is claimed within milliseconds; after a second its ring was lost.
LEASE_SECONDS = 1.0  # A lease is taken and locked within milliseconds; unlocked after this, its worker is dead.
ABANDONED_SECONDS = 30.0  # Until then a restart of whoever is missing is waited for: the broker, or the worker.
HELP_SECONDS = 5.0  # Since the last job that was late although it was rung for: who is back leaves none for long.
DRAIN_SECONDS = 0.5  # A queue's share of a sweep while nobody else settles: slow, but every job ends.

log = structlog.get_logger()


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What one sweep did."""

    interrupted: int = 0  # Batches whose worker died.
    rung: int = 0  # Queues.
    drained: int = 0  # Jobs that the sweeper settled itself.


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A queue that does not move."""

    first_id: UUID  # Of the jobs that are overdue.
    since: float  # By the monotonic clock.


class Sweeper:
    def __init__(self) -> None:
        self._broker_lost: float | None = None  # Since when, by the monotonic clock.
        self._standing: dict[Queue, Standing] = {}
        self._helped_until: dict[Queue, float] = {}  # By the monotonic clock.

    def run_once(self) -> Swept:
        """Sweep once; do nothing while another copy sweeps."""
        began = time.perf_counter()
        with transaction(settings().database_worker_url) as tx:
            if not db.locks.try_sweep(tx):
                metrics.sweeps().sweeps.labels("left").inc()
                return Swept()
            interrupted = _free_interrupted()
            # After a death all that is due is rung for at once: a queue stands still behind a batch that kills.
            overdue = db.jobs.overdue(tx, 0.0 if interrupted else OVERDUE_SECONDS)
        rung = self._ring([*overdue, *_overdue_webhooks()])
        swept = Swept(interrupted=interrupted, rung=rung, drained=self._drain(overdue))
        _count(swept, time.perf_counter() - began)
        return swept

    def _ring(self, overdue: list[Overdue]) -> int:
        rung = 0
        for one in overdue:
            if bell.announce(one.queue, one.count, one.first_id):
                rung += 1
                self._broker_lost = None
                log.info("rang again", queue=one.queue, jobs=one.count, first_id=one.first_id)
            else:
                self._broker_lost = self._broker_lost or time.monotonic()
                break  # A broker that is frozen takes seconds to say nothing; the others would hear the same.
        return rung

    def _drain(self, overdue: list[Overdue]) -> int:
        """Settle jobs of queues that nobody else settles, and return how many."""
        now = time.monotonic()
        # Without a broker no worker is told: how long a queue stands counts from when it can be.
        told = overdue if self._broker_lost is None else []
        self._standing = {one.queue: self._standing_of(one, now) for one in told}
        return sum(_settled(one.queue) for one in overdue if self._is_abandoned(one, now))

    def _is_abandoned(self, one: Overdue, now: float) -> bool:
        """Whether there is no broker; or no worker, or one that is there and takes nothing."""
        if self._broker_lost is not None:
            return now - self._broker_lost >= ABANDONED_SECONDS
        if one.is_suspect:  # It may kill whoever takes it, for which its worker is made and the sweeper is not.
            return False
        is_standing = now - self._standing[one.queue].since >= ABANDONED_SECONDS
        if is_standing or now < self._helped_until.get(one.queue, now):
            self._helped_until[one.queue] = now + HELP_SECONDS
            return True
        return False

    def _standing_of(self, one: Overdue, now: float) -> Standing:
        before = self._standing.get(one.queue)
        if before is not None and before.first_id == one.first_id:
            return before
        return Standing(first_id=one.first_id, since=now)


def _settled(queue: Queue) -> int:
    """Settle a queue's jobs for a while; return how many. Those of another queue must not wait for what fails here."""
    try:
        return sum(batches.drain(queue, DRAIN_SECONDS).values())
    except DatabaseError as error:
        log.warning("queue stays for the next sweep", queue=queue, error=str(error))
        return 0


def _count(swept: Swept, seconds: float) -> None:
    counted = metrics.sweeps()
    counted.sweeps.labels("done").inc()
    counted.seconds.observe(seconds)
    counted.interrupted.inc(swept.interrupted)
    counted.rung.inc(swept.rung)
    counted.drained.inc(swept.drained)


def _overdue_webhooks() -> list[Overdue]:
    """Return what webhooks have to do, in a transaction of its own: jobs must not wait for it."""
    try:
        with transaction(settings().database_worker_url) as tx:
            db.outbox.skip_unwanted(tx)
            return db.outbox.overdue(tx, OVERDUE_SECONDS)
    except DatabaseError as error:
        log.warning("webhooks stay for the next sweep", error=str(error))
        return []


def _free_interrupted() -> int:
    """Count an attempt for the jobs of dead batches; return how many batches. Rings must not wait for it."""
    try:
        with transaction(settings().database_worker_url) as tx:
            orphans = db.leases.orphans(tx, LEASE_SECONDS)
            counted = batches.count_attempt(tx, *orphans) if orphans else Counted()
    except DatabaseError as error:
        log.warning("interrupted batches stay for the next sweep", error=str(error))
        return 0
    if orphans:
        log.warning("interrupted batches freed", lease_ids=orphans)
    metrics.batches().attempted(counted.kinds, counted.exhausted)
    notices.publish([outcome.job_id for outcome in counted.exhausted])
    return len(orphans)


def main() -> None:
    with process.running("sweeper", "database_worker_url") as config, tracing.traced(config, "sweeper"):
        db.roles.refuse_unsafe(config, {"database_worker_url": Side.WORKER})
        _show_metrics()
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        _sweep_until(stopped)


def _sweep_until(stopped: threading.Event) -> None:
    sweeper = Sweeper()
    while not stopped.wait(PERIOD_SECONDS):
        try:
            swept = sweeper.run_once()
        except Exception as error:  # noqa: BLE001 - whatever it was, the next sweep may pass
            log.warning("sweep failed", error=str(error))
            metrics.sweeps().sweeps.labels("failed").inc()
            continue
        heartbeat.touch(heartbeat.SWEEPER)
        if swept != Swept():
            log.info("swept", **msgspec.structs.asdict(swept))


def _show_metrics() -> None:
    exposed.prepare(REGISTRY)
    metrics.expect([queue.value for queue in Queue if queue is not Queue.MAINTENANCE])
    metrics.sweeps()
    exposition.serve(REGISTRY)


if __name__ == "__main__":
    main()
