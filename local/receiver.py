"""A receiver of webhooks for a developer: verifies each message, prints it as one line of JSON, answers."""

import contextlib
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import msgspec

from domain.signatures import is_signed
from local.ports import HOST

FORWARD_SECONDS_MAX = 10.0  # Below the 15 s after which an attempt has failed.
IDLE_SECONDS_MAX = 60.0  # Of a kept connection; the sender itself gives up after 4.
BODY_BYTES_MAX = 1_000_000  # Messages are a few kB; more is not one of ours.
BACKLOG = 128  # Up to 32 messages come at once, more after a restart of the sender.
PASSED_ON = ("content-type", "webhook-id", "webhook-timestamp", "webhook-signature")


class Receiver(ThreadingHTTPServer):
    """A server on this machine; `secret` is what it expects messages to be signed with."""

    request_queue_size = BACKLOG

    def __init__(self, port: int, *, forward_to: str | None) -> None:
        """Take the port (0: a free one).

        Raises:
            OSError: it is taken.

        """
        super().__init__((HOST, port), Handler)
        self.secret = ""
        self.stopped = threading.Event()  # Somebody wants it to end.
        self._forward_to = forward_to
        self._printing = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/"

    def receive(self, headers: dict[str, str], body: bytes) -> int:
        """Verify a message and print it; return the status of its answer."""
        if not is_signed(self.secret, headers, body, now=time.time()):
            self._print({"verified": False, "id": headers.get("webhook-id"), "type": None, "data": None})
            return 400
        message = {"verified": True} | msgspec.json.decode(body, type=dict[str, Any])
        if self._forward_to is None:
            self._print(message)
            return 204
        status = _forward(self._forward_to, headers, body)
        self._print(message | {"forwarded": status})
        return status

    def _print(self, line: dict[str, Any]) -> None:
        with self._printing:
            try:
                sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
                sys.stdout.flush()
            except OSError:  # Whoever read it has gone, as `head` does.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                self.stopped.set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS_MAX
    server: Receiver

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            self._answer(413)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._answer(self.server.receive(headers, self.rfile.read(int(length))))

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if status != 204:  # It has none (RFC 9110, section 8.6).
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing: each message is a line already."""


def _forward(url: str, headers: dict[str, str], body: bytes) -> int:
    """Pass a message on as it came; return the status of the answer, 502 without one (RFC 9110, section 15.6.3)."""
    passed = {name: headers[name] for name in PASSED_ON if name in headers}
    try:
        answer = httpx2.post(url, headers=passed, content=body, timeout=FORWARD_SECONDS_MAX, trust_env=False)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        tell(f"{url} does not answer: {error}")
        return 502
    return answer.status_code


def tell(sentence: str) -> None:
    """Say something to the person, beside what is for machines."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"tekana: {sentence}\n")
        sys.stderr.flush()
