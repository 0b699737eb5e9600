"""What each of a worker's processes does first and last. Threads do not come through a fork: they begin here."""

from typing import Any

from celery.signals import worker_process_init, worker_process_shutdown, worker_ready

import process
import tracing
from settings import settings
from workers import deliveries
from workers.app import app


@worker_ready.connect
def settle_down(**_: Any) -> None:
    """Of the parent, which does little and may live for months: keep its memory as it is."""
    process.leave_out_what_is_loaded()


@worker_process_init.connect
def begin(**_: Any) -> None:
    if settings().tracing:
        tracing.begin("-".join(["worker", *sorted(app.amqp.queues.consume_from)]))
    deliveries.open_office()
    process.collect_rarely()


@worker_process_shutdown.connect
def end(**_: Any) -> None:
    """Let what is under way end, and then send what is known of it."""
    deliveries.close_office()
    tracing.end()
