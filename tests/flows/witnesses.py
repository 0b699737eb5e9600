"""Whoever sees what the system says: Redis's own monitor, a collector of traces, Flower, and a dump of all tables."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import redis
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sqlalchemy import Engine, text

from local.stack import Stack

ANSWER_SECONDS_MAX = 10.0
TASKS_MAX = 1_000
# What a partition holds its table shows.
COLUMNS = text("""
    SELECT table_name, column_name FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name NOT IN (SELECT relname FROM pg_class WHERE relispartition)
     ORDER BY 1, 2
""")


class Collector(ThreadingHTTPServer):
    """Takes traces by OTLP over HTTP."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[tuple[str, str, str]]:
        """Return service, trace and name of each span."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        resources = [resource for request in requests for resource in request.resource_spans]
        return [
            (_service(resource), span.trace_id.hex(), span.name)
            for resource in resources
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def _service(resource: Any) -> str:
    values = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
    return str(values[0])


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


@contextmanager
def monitoring(url: str) -> Iterator[list[bytes]]:
    """Yield the commands that Redis is given in the meantime, messages of queues and notices among them."""
    seen: list[bytes] = []
    client = redis.Redis.from_url(url, socket_timeout=None)
    connection: Any = client.connection_pool.get_connection()
    connection.send_command("MONITOR")
    assert connection.read_response() == b"OK"
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            try:
                seen.append(connection.read_response(disable_decoding=True))
            except (redis.ConnectionError, OSError):
                return

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield seen
    is_over.set()
    client.ping()  # Is seen too, and so ends the reading.
    thread.join()
    connection.disconnect()
    client.close()


def keys_of_redis(url: str) -> bytes:
    """Return the content of every key, of whatever type it is."""
    with redis.Redis.from_url(url) as client:
        return b"\n".join(name + b" " + (client.dump(name) or b"") for name in client.scan_iter(count=1_000))


def pages_of_flower(stack: Stack) -> bytes:
    """Return what Flower shows of workers and tasks, by its API and on its pages."""
    credentials = (stack.env["FLOWER_USER"], stack.env["FLOWER_PASSWORD"])
    with httpx2.Client(
        base_url=stack.flower_url, auth=credentials, timeout=ANSWER_SECONDS_MAX, trust_env=False
    ) as client:
        workers = client.get("/api/workers", params={"refresh": "true"}).json()
        tasks = client.get("/api/tasks", params={"limit": TASKS_MAX}).json()
        paths = ["/api/workers", "/api/tasks", "/api/queues/length", "/", "/workers", "/tasks", "/broker", "/metrics"]
        paths += [f"/worker/{name}" for name in workers]
        paths += [path for task_id in tasks for path in (f"/task/{task_id}", f"/api/task/info/{task_id}")]
        answers = [client.get(path) for path in paths]
    assert {answer.status_code for answer in answers} == {200}
    return b"\n".join(answer.content for answer in answers)


def dump(engine: Engine) -> dict[str, bytes]:
    """Return each column of each table as `COPY` writes it, by `table.column`."""
    with engine.connect() as connection:
        names = [(row.table_name, row.column_name) for row in connection.execute(COLUMNS)]
        return {f"{table}.{column}": _copied(connection, table, column) for table, column in names}


def _copied(connection: Any, table: str, column: str) -> bytes:
    query = f'COPY (SELECT "{column}" FROM {table}) TO STDOUT'  # noqa: S608 - names of the catalogue
    with connection.connection.cursor() as cursor, cursor.copy(query) as rows:
        return b"".join(bytes(row) for row in rows)
