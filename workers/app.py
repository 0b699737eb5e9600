"""The Celery application: plain queues, messages that are doorbells, nothing kept in the broker.

Why each setting: a message may be lost or doubled at any time, because jobs are rows and the sweeper
rings again; what must never happen is a worker that hangs, hoards or executes what it is sent.
"""

from typing import Any

import billiard.pool
from celery import Celery
from celery.signals import setup_logging, worker_ready
from kombu import Queue as BrokerQueue

import logs
from domain.jobs import Queue
from settings import settings
from workers.broker import Messaging, configuration

FOLD_SECONDS = 30  # How far system wallets' balances may lag; an audit adds the difference itself.
SEAL_SECONDS = 10  # How long a posting may stand outside the chain, where it could be taken away unnoticed.
PURGE_SECONDS = 3_600
CHILD_WATCH_SECONDS = 0.2  # What its jobs wait for another child; a look costs a waitpid.
LAST_WORDS_SECONDS_MAX = 2.0  # Of a child; a parent that reads at all reads them in milliseconds.
TASK_SECONDS_MAX = 25  # Under half the visibility timeout, so that no running task is delivered twice.


def _configuration() -> dict[str, Any]:
    return {
        **configuration(settings().broker_url or settings().redis_url),
        "broker_heartbeat": 10,  # Seconds, for a broker that has some: RabbitMQ.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "task_queues": [BrokerQueue(queue.value) for queue in Queue],
        "task_create_missing_queues": False,
        "task_default_queue": Queue.MAINTENANCE.value,
        "task_routes": {f"{queue}.*": {"queue": queue.value} for queue in Queue},
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "result_backend": None,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_time_limit": TASK_SECONDS_MAX,
        "task_soft_time_limit": TASK_SECONDS_MAX - 5,
        "task_publish_retry": False,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 10,
        "worker_enable_soft_shutdown_on_idle": True,
        "worker_max_memory_per_child": 400_000,  # kB: a child that grew tenfold is replaced between tasks.
        "worker_send_task_events": True,
        "event_queue_ttl": 10,
        "event_queue_expires": 60,
        "beat_schedule": {
            "fold": {"task": "maintenance.fold", "schedule": FOLD_SECONDS, "options": {"expires": FOLD_SECONDS}},
            "seal": {"task": "maintenance.seal", "schedule": SEAL_SECONDS, "options": {"expires": SEAL_SECONDS}},
            "purge": {"task": "maintenance.purge", "schedule": PURGE_SECONDS, "options": {"expires": PURGE_SECONDS}},
        },
    }


# Tasks, and what listens to Celery's signals, in this order: what `lifetime` begins is counted by `exposition`.
OWN = ("workers.tasks", "workers.exposition", "workers.heartbeat", "workers.lifetime")

app = Celery("tekana", amqp=Messaging, include=OWN)
app.add_defaults(_configuration)


# A child that ends waits until its parent has read all that it sent, which a stopping parent under load may never do.
# Its last jobs are committed, and a ring that is not acknowledged comes once more. billiard waits 30 s, and all that
# was accepted meanwhile with it.
billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = int(
    LAST_WORDS_SECONDS_MAX / billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_INTERVAL
)


@setup_logging.connect
def configure_logs(**_: Any) -> None:
    """Log as all processes do; that somebody listens keeps Celery from setting up loggers of its own."""
    logs.configure(settings())


@worker_ready.connect
def watch_children(sender: Any, **_: Any) -> None:
    """Notice a dead child soon. Celery hears of a death before it can be read, and then looks every 5 s only."""
    sender.hub.call_repeatedly(CHILD_WATCH_SECONDS, sender.pool.maintain_pool)
