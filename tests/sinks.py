"""Receivers of webhooks in this process: one server, and on each of its paths an inbox that answers as told."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, NamedTuple

import msgspec
from standardwebhooks import Webhook

ARRIVE_SECONDS = 20.0  # A message takes 50 ms; a worker that is just being started, a few seconds.
IDLE_SECONDS_MAX = 60.0  # Of a kept connection; the sender itself gives up after 4.


class Message(NamedTuple):
    """What one POST brought; headers by lower-case name."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        result: dict[str, Any] = msgspec.json.decode(self.body)
        return result

    @property
    def data_text(self) -> bytes:
        """The text of `data`, byte for byte as it stands in the body."""
        return bytes(msgspec.json.decode(self.body, type=dict[str, msgspec.Raw])["data"])

    def is_signed_by(self, secret: str) -> bool:
        """Ask the library that receivers use (Standard Webhooks 1.0)."""
        try:
            Webhook(secret).verify(self.body, self.headers)
        except Exception:  # noqa: BLE001 - the library's errors have no common ancestor of their own
            return False
        return True


class Reply(NamedTuple):
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"thanks"


class Inbox:
    """What came to one URL. Answers in turn, and with the last one for ever."""

    def __init__(self, url: str, replies: tuple[Reply, ...]) -> None:
        self.url = url
        self._replies = replies
        self._messages: list[Message] = []
        self._arrived = threading.Condition()

    def take(self, message: Message) -> Reply:
        with self._arrived:
            self._messages.append(message)
            self._arrived.notify_all()
            return self._replies[min(len(self._messages), len(self._replies)) - 1]

    @property
    def messages(self) -> list[Message]:
        with self._arrived:
            return list(self._messages)

    def wait(self, count: int = 1, seconds: float = ARRIVE_SECONDS) -> list[Message]:
        """Return what has come, as soon as it is `count` messages."""
        self.wait_until(lambda messages: len(messages) >= count, seconds)
        return self.messages

    def wait_until(self, holds: Callable[[list[Message]], bool], seconds: float = ARRIVE_SECONDS) -> None:
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: holds(self._messages), seconds)
        assert arrived, f"{len(self._messages)} messages came to {self.url}"

    def of_job(self, job_id: str, seconds: float = ARRIVE_SECONDS) -> Message:
        """Return the first message that tells of this job."""
        self.wait_until(lambda messages: any(one.event["data"].get("id") == job_id for one in messages), seconds)
        return next(one for one in self.messages if one.event["data"].get("id") == job_id)


class Sinks:
    """The server. `open` makes an inbox of its own for whoever asks."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._numbers = itertools.count(1)

    def open(self, *replies: Reply | int) -> Inbox:
        """Make an inbox that gives these answers in turn; without any, 200."""
        path = f"/{next(self._numbers)}"
        answers = tuple(one if isinstance(one, Reply) else Reply(one) for one in replies or (200,))
        inbox = Inbox(f"http://127.0.0.1:{self._server.server_port}{path}", answers)
        self._server.inboxes[path] = inbox
        return inbox


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # Messages of many endpoints come at once.

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.inboxes: dict[str, Inbox] = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout: ClassVar[float] = IDLE_SECONDS_MAX
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        message = Message({name.lower(): value for name, value in self.headers.items()}, body)
        inbox = self.server.inboxes.get(self.path)
        reply = Reply(404) if inbox is None else inbox.take(message)
        self.send_response(reply.status)
        for name, value in (*reply.headers, ("Content-Length", str(len(reply.body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """Say nothing: what came stands in the inbox."""


@contextlib.contextmanager
def serving() -> Iterator[Sinks]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield Sinks(server)
        finally:
            server.shutdown()
            thread.join()


def until(read: Callable[[], Any], holds: Callable[[Any], bool], seconds: float = ARRIVE_SECONDS) -> Any:
    """Read again and again until what is read holds; return it."""
    deadline = time.monotonic() + seconds
    while not holds(found := read()):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found
