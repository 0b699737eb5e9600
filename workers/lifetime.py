"""What each of a worker's processes does first and last. Threads do not come through a fork: they begin here."""

from typing import Any

from celery.signals import worker_process_init, worker_process_shutdown, worker_ready
from celery.worker.state import successful_requests

import process
import tracing
from settings import settings
from workers import deliveries
from workers.app import app

SUCCESSFUL_MAX = 100  # Of a parent's tasks; those that it must not cancel at its end are one for each pool child.


@worker_ready.connect
def stay_small(**_: Any) -> None:
    """Of the parent, which does little and may live for months: let its memory be as large as it is now.

    Celery keeps the ids of the last thousand tasks that went well, a megabyte, which a worker of few tasks fills for
    two hours. Its variable of the environment is read before there are settings.
    """
    successful_requests.maxlen = SUCCESSFUL_MAX
    process.collect_often()


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
