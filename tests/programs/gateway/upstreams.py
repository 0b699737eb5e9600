"""What nginx stands before in these tests: servers that note what reaches them, and break off when told to."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

HEAD_WAIT_SECONDS = 3.0  # Of a slow answer: longer than a connection may take, shorter than an answer.
STREAM_SECONDS = 5.0
POLL_SECONDS = 0.01  # How soon it notices that it is to close.


class Seen(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]  # By lower-case name.
    size: int  # Of the body.


class Upstream:
    """One server. While it `breaks`, it reads each request to its end and closes the connection without an answer."""

    def __init__(self, port: int = 0) -> None:
        self.seen: list[Seen] = []
        self.breaks = False
        self.headers: dict[str, str] = {}  # Of its answers.
        self._connections: list[socket.socket] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()

    def close(self) -> None:
        """Die: whoever comes now is refused the connection, and those that are open break."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                upstream._connections.append(self.connection)

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                named = {name.lower(): value for name, value in self.headers.items()}
                upstream.seen.append(Seen(self.command, self.path, named, len(body)))
                if upstream.breaks:
                    self.close_connection = True
                elif self.path.endswith("/events"):
                    self._stream()
                else:
                    self._answer()

            do_POST = do_GET  # noqa: N815 - http.server's name

            def _answer(self) -> None:
                if self.path.endswith("/slow"):
                    time.sleep(HEAD_WAIT_SECONDS)
                self.send_response(200)
                for name, value in upstream.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def _stream(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(b"data: first\n\n")
                time.sleep(STREAM_SECONDS)
                self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
                """Say nothing."""

        return Handler


@contextlib.contextmanager
def listening() -> Iterator[Upstream]:
    upstream = Upstream()
    try:
        yield upstream
    finally:
        with contextlib.suppress(OSError):
            upstream.close()
