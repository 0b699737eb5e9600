"""How a request may arrive: its head within ten seconds and 32 kB, all of it within thirty seconds.

uvicorn waits for the rest of a request as long as a client likes, and keeps as much of a head as it sends: some hundred
connections that trickle would hold all of a process's descriptors. nginx bounds that where it stands before the API
(deploy/nginx/http.conf), but not everybody has it (decision 49).
"""

from asyncio import Transport
from typing import Any, Final

import msgspec
from uuid_utils.compat import uuid7
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.errors import PROBLEM, Problem

HEAD_SECONDS_MAX = 10.0  # As nginx: a head is one packet or two.
REQUEST_SECONDS_MAX = 30.0  # A bulk of 1 MB at 35 kB/s, which a bad mobile network reaches.
HEAD_BYTES_MAX = 32 * 1024  # The largest legal one, with every header that the API reads at its longest, has 10 kB.
STATUSES: Final = {
    400: ("bad_request", "Bad Request", "This is not a request of HTTP/1.1."),
    408: ("request_timeout", "Request Timeout", "The request did not arrive in time."),
    431: ("header_too_large", "Request Header Fields Too Large", f"The header has more than {HEAD_BYTES_MAX} bytes."),
}


class Arrivals(HttpToolsProtocol):
    """One connection."""

    _late: Any = None  # A timer, while a request is awaited or arriving.
    _is_in_head: bool = True
    _head_bytes: int = 0
    _status: int = 400  # Of the answer to what is no request.

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as its parent
        super().connection_made(transport)
        self._expect_within(HEAD_SECONDS_MAX)

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._is_in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(431)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        self._expect_within(HEAD_SECONDS_MAX)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES_MAX:
            self._status = 431
            raise ValueError  # The parser stops; `send_400_response` is what its error leads to.
        self._expect_within(REQUEST_SECONDS_MAX)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._has_arrived()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request as everything else is answered that goes wrong."""
        del msg
        self._refuse(self._status)

    def _expect_within(self, seconds: float) -> None:
        self._has_arrived()
        self._late = self.loop.call_later(seconds, self._refuse, 408)

    def _has_arrived(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self, status: int) -> None:
        """Answer and close; whoever has begun nothing, or waits for an answer to an earlier request, is only closed."""
        self._has_arrived()
        if self.transport.is_closing():
            return
        if not self._is_answering() and (status != 408 or self._head_bytes or not self._is_in_head):
            self.transport.write(_answer(status))
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete


def _answer(status: int) -> bytes:
    code, title, detail = STATUSES[status]
    request_id = str(uuid7())
    body = msgspec.json.encode(
        Problem(
            type=f"/docs#{code}",
            title=title,
            status=status,
            detail=detail,
            instance="/",
            code=code,
            request_id=request_id,
        )
    )
    head = (
        f"HTTP/1.1 {status} {title}\r\nContent-Type: {PROBLEM}\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-Id: {request_id}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
