"""Where a process without HTTP shows its metrics: a port of its own.

A worker is a parent and its pool children, which come and go. Children count in files of a folder (prometheus_client's
multiprocess mode), one set for each place in the pool, where the next child goes on counting; the parent serves what
stands in them. A port that cannot be had is done without: money does not wait for figures.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIServer

import prometheus_client.values
import structlog
from billiard.process import current_process
from celery.signals import beat_init, worker_init, worker_process_init, worker_shutdown
from prometheus_client import REGISTRY, CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.values import MultiProcessValue

import exposed
from settings import settings
from workers import metrics
from workers.app import app
from workers.children import Children

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # Where prometheus_client looks for its files' folder.

log = structlog.get_logger()


class Shown:
    """What a worker's parent has opened. Its children inherit it."""

    def __init__(self) -> None:
        self.server: WSGIServer | None = None
        self.folder: Path | None = None
        self.parent = os.getpid()


shown = Shown()


def serve(registry: CollectorRegistry) -> WSGIServer | None:
    """Serve `registry` on METRICS_HOST and METRICS_PORT from a thread; return nothing without a port."""
    config = settings()
    if not config.metrics_port:
        return None
    try:
        server, _ = start_http_server(config.metrics_port, config.metrics_host, registry)
    except OSError as error:
        log.error("metrics not shown", host=config.metrics_host, port=config.metrics_port, error=str(error))  # noqa: TRY400 - the place in our code says nothing
        return None
    return server


@worker_init.connect
def show_worker(sender: Any, **_: Any) -> None:
    """Open the port before the first child is made."""
    registry = CollectorRegistry()
    shown.server, shown.parent = serve(registry), os.getpid()
    if shown.server is None:
        return
    shown.folder = Path(tempfile.mkdtemp(prefix="tekana-metrics-"))
    os.environ[FOLDER] = str(shown.folder)
    ProcessCollector(registry=registry)
    exposed.prepare(registry)
    registry.register(Children(sender))
    MultiProcessCollector(registry, str(shown.folder))  # type: ignore[no-untyped-call] # untyped library


@worker_process_init.connect
def count_in_files(**_: Any) -> None:
    """Let a pool child go on counting where the one before it in its place has stopped."""
    if shown.server is not None and shown.folder is not None:
        if os.getpid() != shown.parent:
            shown.server.socket.close()  # Inherited; where children outlive a parent, it would keep the port.
        place = getattr(current_process(), "index", 0)
        # A gauge of the child before in this place is not true any more.
        mark_process_dead(place, str(shown.folder))  # type: ignore[no-untyped-call] # untyped library
        prometheus_client.values.ValueClass = MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call] # untyped library
    metrics.expect(app.amqp.queues.consume_from)


@worker_shutdown.connect
def remove_files(**_: Any) -> None:
    if shown.folder is not None:
        shutil.rmtree(shown.folder, ignore_errors=True)


@beat_init.connect
def show_beat(**_: Any) -> None:
    exposed.prepare(REGISTRY)
    serve(REGISTRY)
