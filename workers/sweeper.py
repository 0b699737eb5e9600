"""The sweeper: rings again for jobs that nobody picked up, and frees those that a death interrupted.

A process of its own, so that it does not depend on the queue it repairs. Any number of copies may
run; an advisory lock lets one of them work at a time. `python -m workers.sweeper` starts one.
"""

import signal
import threading
import time

import msgspec
import structlog

import db.jobs
import db.leases
import db.locks
from db.engine import DatabaseError, transaction
from db.jobs import Overdue
from settings import settings
from workers import batches, bell, notices

PERIOD_SECONDS = 1.0
OVERDUE_SECONDS = 1.0  # A rung job is claimed within milliseconds; after a second its ring was lost.
LEASE_SECONDS = 1.0  # A lease is taken and locked within milliseconds; unlocked after this, its worker is dead.
BROKER_GONE_SECONDS = 30.0  # Until then a restart of the broker is waited for.
DRAIN_SECONDS = 0.5  # A queue's share of a sweep while there is no broker: slow, but every job ends.

log = structlog.get_logger()


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What one sweep did."""

    interrupted: int = 0  # Batches whose worker died.
    rung: int = 0  # Queues.
    drained: int = 0  # Jobs that the sweeper settled itself.


class Sweeper:
    def __init__(self) -> None:
        self._broker_seen = time.monotonic()

    def run_once(self) -> Swept:
        """Sweep once; do nothing while another copy sweeps."""
        with transaction(settings().database_worker_url) as tx:
            if not db.locks.try_sweep(tx):
                return Swept()
            orphans = db.leases.orphans(tx, LEASE_SECONDS)
            exhausted = db.leases.count_attempt(tx, *orphans)
            if exhausted:
                db.jobs.finish(tx, exhausted)
            # After a death all that is due is rung for at once: a queue stands still behind a batch that kills.
            overdue = db.jobs.overdue(tx, 0.0 if orphans else OVERDUE_SECONDS)
        notices.publish([outcome.job_id for outcome in exhausted])
        return Swept(interrupted=len(orphans), rung=self._ring(overdue), drained=self._drain(overdue))

    def _ring(self, overdue: list[Overdue]) -> int:
        rung = [bell.announce(one.queue, one.count, one.first_id) for one in overdue]
        if any(rung) or not rung:
            self._broker_seen = time.monotonic()
        return sum(rung)

    def _drain(self, overdue: list[Overdue]) -> int:
        if time.monotonic() - self._broker_seen < BROKER_GONE_SECONDS:
            return 0
        return sum(sum(batches.drain(one.queue, DRAIN_SECONDS).values()) for one in overdue)


def main() -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    sweeper = Sweeper()
    while not stopped.wait(PERIOD_SECONDS):
        try:
            swept = sweeper.run_once()
        except DatabaseError as error:
            log.warning("sweep failed", error=str(error))
            continue
        if swept != Swept():
            log.info("swept", **msgspec.structs.asdict(swept))


if __name__ == "__main__":
    main()
