"""Heartbeats: a file in DATA_DIR/heartbeat, touched when a process has finished a piece of its work.

Not when a timer says so: a worker that is up, connected and deaf would look well. Whether silence means anything,
`alive` judges. Of each process there is one to a folder.
"""

import time
from pathlib import Path
from typing import Any

import structlog
from celery.signals import after_task_publish, beat_init, task_success, worker_ready

from settings import settings

SWEEPER = "sweeper"
BEAT = "beat"

log = structlog.get_logger()


def worker(queue: str) -> str:
    """Return the heartbeat's name of the worker of `queue`."""
    return f"worker-{queue}"


def touch(name: str) -> None:
    """Note that `name` has just finished something. Without a place for it work goes on, unwatched."""
    path = _path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        log.warning("no heartbeat", path=str(path), error=str(error))


def silence_seconds(name: str) -> float:
    """Return for how long `name` has finished nothing; infinity when it never has."""
    try:
        return time.time() - _path(name).stat().st_mtime
    except OSError:
        return float("inf")


def _path(name: str) -> Path:
    return settings().data_dir / "heartbeat" / name


@worker_ready.connect
def begin(sender: Any, **_: Any) -> None:
    """Count a worker's silence from when it began to listen."""
    for queue in sender.app.amqp.queues.consume_from:
        touch(worker(queue))


@task_success.connect
def finish(sender: Any, **_: Any) -> None:
    """A task's name begins with its queue's."""
    touch(worker(sender.name.partition(".")[0]))


@beat_init.connect
def begin_to_ask(**_: Any) -> None:
    """In beat's process, asking is the work; in all others, it is not."""
    touch(BEAT)
    after_task_publish.connect(asked, weak=False)


def asked(**_: Any) -> None:
    touch(BEAT)
