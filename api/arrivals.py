"""How a request may arrive: its head within ten seconds and 32 kB, all of it within thirty seconds.

uvicorn waits for the rest of a request as long as a client likes, and keeps as much of a head as it sends: some hundred
connections that trickle would hold all of a process's descriptors. nginx bounds that where it stands before the API
(deploy/nginx/http.conf), but not everybody has it (decision 49).
"""

from asyncio import Transport
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.errors import PROBLEM, ApiError, BadRequest, HeaderTooLarge, RequestTimeout, document, title
from api.observed import request_id_of

HEAD_SECONDS_MAX = 10.0  # As nginx: a head is one packet or two.
REQUEST_SECONDS_MAX = 30.0  # A bulk of 1 MB at 35 kB/s, which a bad mobile network reaches.
HEAD_BYTES_MAX = 32 * 1024  # The largest legal one, with every header that the API reads at its longest, has 10 kB.
PIECE_BYTES_MAX = 8 * 1024  # What is counted at once: where in it a head ends is not known, only that it does.
CHUNK_BYTES = 8  # Of the size of a chunk and its line ends, which are no luxury however many there are.


class Arriving(Enum):
    NOTHING = auto()  # Blank lines, which may stand before a head, are nothing.
    HEAD = auto()
    BODY = auto()


class Arrivals(HttpToolsProtocol):
    """One connection. What arrives on it has one timer; while it waits for an answer of ours it has none."""

    _arriving: Arriving = Arriving.NOTHING
    _late: Any = None  # The timer.
    _running: RequestResponseCycle | None = None  # The request that is answered now, or was last.
    _bytes: int = 0  # Since the last head or request was complete, without bodies.
    _refusal: bytes | None = None  # What follows the answers to earlier requests, before the connection is closed.
    _error: type[ApiError] = BadRequest  # Of what the parser stops at.

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as its parent
        super().connection_made(transport)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)
        if self._running is not None:  # uvicorn tells only the newest of several requests.
            _let_go(self._running)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES_MAX):
            if self._refusal is not None or self.transport.is_closing():
                return
            piece = data[start : start + PIECE_BYTES_MAX]
            self._bytes += len(piece)
            super().data_received(piece)
            if self._bytes > HEAD_BYTES_MAX:
                self._refuse(HeaderTooLarge)
        if self._late is None:  # Only now: most requests arrive whole, and need no timer.
            self._set_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await(Arriving.HEAD)

    def on_headers_complete(self) -> None:
        # What of it stood in the piece in which the request before it ended is not counted in `_bytes`.
        if self._bytes > HEAD_BYTES_MAX - PIECE_BYTES_MAX and self._head_bytes() > HEAD_BYTES_MAX:
            self._error = HeaderTooLarge
            raise ValueError  # The parser stops; `send_400_response` is what its error leads to.
        self._bytes = 0
        super().on_headers_complete()
        self._await(Arriving.BODY)

    def on_body(self, body: bytes) -> None:
        self._bytes -= len(body)
        super().on_body(body)

    def on_chunk_complete(self) -> None:
        self._bytes = max(0, self._bytes - CHUNK_BYTES)  # Small ones earn nothing that a trailer could use.

    def on_message_complete(self) -> None:
        self._bytes = 0
        super().on_message_complete()
        self._await(Arriving.NOTHING)

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        self._unset_keepalive_if_required()  # It would end with the next byte, whatever that is; ours does not.
        if self._refusal is not None and is_last:
            self._close(self._refusal)
        elif self._late is None:
            self._set_timer()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request as everything else is answered that goes wrong."""
        del msg
        self._refuse(self._error)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _await(self, arriving: Arriving) -> None:
        """Know what arrives from here on; once what has come is read, its time begins."""
        self._arriving = arriving
        self._stop_timer()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _set_timer(self) -> None:
        if not self.transport.is_closing() and (seconds := self._seconds()) is not None:
            self._late = self.loop.call_later(seconds, self._refuse, RequestTimeout)

    def _stop_timer(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _seconds(self) -> float | None:
        """Return how long what arrives may take; None if it waits for us."""
        if self.pipeline:  # Nothing is read.
            return None
        if self._arriving is Arriving.BODY:
            return REQUEST_SECONDS_MAX
        if self._arriving is Arriving.HEAD or self._running is None:
            return HEAD_SECONDS_MAX
        return None if self._is_answering() else self.timeout_keep_alive

    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _refuse(self, error: type[ApiError]) -> None:
        """Answer what arrives and close; nobody hears twice, or in another one's place, or of nothing."""
        self._stop_timer()
        if self._refusal is not None or self.transport.is_closing():
            return
        answer = b"" if self._arriving is Arriving.NOTHING else _answer(error(), self.scope)
        if self._arriving is Arriving.BODY and self._running is self.cycle:
            is_answered = self.cycle.response_started
            _let_go(self.cycle)
            self._close(b"" if is_answered else answer)
        elif self._is_answering():
            if self._arriving is Arriving.BODY:
                self.pipeline.popleft()
            self._arriving, self._refusal = Arriving.NOTHING, answer
        else:
            self._close(answer)

    def _close(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.transport.close()


def _let_go(cycle: RequestResponseCycle) -> None:
    """Tell whoever reads a request that there is no more of it; what they say is for nobody."""
    if not cycle.response_complete:
        cycle.disconnected = True
        cycle.message_event.set()


def _answer(error: ApiError, scope: Mapping[str, Any]) -> bytes:
    request_id = scope["state"].get("request_id") or request_id_of(scope).decode()
    body = document(error, scope.get("path", "/"), request_id)
    head = (
        f"HTTP/1.1 {error.status.value} {title(error.status)}\r\nContent-Type: {PROBLEM}\r\n"
        f"Content-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\nCache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
