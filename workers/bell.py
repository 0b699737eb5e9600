"""The bell: tells workers that a queue has jobs. The only door from the API into the broker.

Ringing never blocks and never fails: a thread publishes, and what it cannot publish it forgets,
because the sweeper rings for every job that nobody picked up.
"""

import threading
import time
from typing import Any, TypeAlias
from uuid import UUID

import structlog
from kombu import Producer

import logs
import tracing
from domain.jobs import Queue
from workers import metrics
from workers.app import app
from workers.broker import ERRORS

# Under load a ring waits, so that one message announces many jobs: a message costs a worker 3 to 5 ms,
# a millisecond a job is what it may save. A single job is rung for at once.
PAUSE_SECONDS_PER_JOB = 0.001
PAUSE_SECONDS_MAX = 0.05

log = structlog.get_logger()

Note: TypeAlias = tuple[int, UUID, str | None]  # How many jobs, the first of them, and the trace of who rang first.


class Bell:
    """Publishes from a thread of its own; `ring` only leaves a note."""

    def __init__(self) -> None:
        metrics.rings()  # What fails for the first time has been 0 before.
        self._waiting: dict[Queue, Note] = {}
        self._lock = threading.Lock()
        self._rung = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
        self._thread.start()

    def ring(self, queue: Queue, count: int, first_job_id: UUID) -> None:
        """Announce `count` jobs, the oldest of which is `first_job_id`."""
        with self._lock:
            waiting, first, trace_context = self._waiting.get(queue, (0, first_job_id, None))
            self._waiting[queue] = (waiting + count, first, trace_context or tracing.context())
        self._rung.set()

    def stop(self) -> None:
        self._stopped = True
        self._rung.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped:
            self._rung.wait()
            self._rung.clear()
            with self._lock:
                waiting, self._waiting = self._waiting, {}
            for queue, (count, first_job_id, trace_context) in waiting.items():
                try:
                    with tracing.step("ring", trace_context, "producer", {"messaging.destination.name": queue}):
                        announce(queue, count, first_job_id)
                except Exception:  # The thread must not end: whatever it was, the sweeper rings for these jobs.
                    log.exception("ring failed", queue=queue)
            most = max((count for count, *_ in waiting.values()), default=0)
            if most > 1:
                time.sleep(min(most * PAUSE_SECONDS_PER_JOB, PAUSE_SECONDS_MAX))


def announce(queue: Queue, count: int, first_job_id: UUID) -> bool:
    """Publish one ring, unless a message already waits: whoever takes that one will see these jobs as well.

    Returns whether the broker is there.
    """
    try:
        with app.producer_pool.acquire(block=True, timeout=1) as producer:
            if _depth(producer, queue) == 0:
                task = f"{queue}.settle"
                app.send_task(task, (count, str(first_job_id)), queue=queue.value, producer=producer, retry=False)
                metrics.rings().sent.labels(queue).inc()
                metrics.rings().jobs.labels(queue).inc(count)
    except Exception as error:  # A sweep must go on, to settle what nobody is told of.
        metrics.rings().failed.inc()
        surprise = logs.surprise(error, ERRORS)
        log.warning("ring failed", queue=queue, jobs=count, error=str(error), exc_info=surprise)
        return False
    return True


def waiting(queue: Queue) -> int | None:
    """Return how many messages wait in the queue, or None when the broker does not answer."""
    try:
        with app.producer_pool.acquire(block=True, timeout=1) as producer:
            return _depth(producer, queue)
    except Exception:  # noqa: BLE001 - a probe that asks must not fail for what its restart would not mend
        return None


def _depth(producer: Producer, queue: Queue) -> int:
    """Return how many messages wait in the queue: declaring, as it is, a queue that exists only counts it."""
    channel: Any = producer.channel
    return int(channel.queue_declare(queue=queue.value, durable=True, auto_delete=False).message_count)
