"""Bytes on a socket, as no client library would send them."""

import contextlib
import socket
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

ANSWER_SECONDS_MAX = 45.0  # Above the longest that the API waits for the rest of a request.


def exchange(api_url: str, *sent: bytes, pause_seconds: float = 0) -> bytes:
    """Send pieces with a pause between them, until the server closes or all are sent; return what it said."""
    return _exchange(api_url, sent, pause_seconds)[0]


def seconds_until_closed(api_url: str, *sent: bytes, pause_seconds: float = 0) -> float:
    return _exchange(api_url, sent, pause_seconds)[1]


def _exchange(api_url: str, sent: Sequence[bytes], pause_seconds: float) -> tuple[bytes, float]:
    address = urlsplit(api_url)
    assert address.hostname is not None
    started = time.monotonic()
    with socket.create_connection((address.hostname, address.port or 80), ANSWER_SECONDS_MAX) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in sent:
                connection.sendall(piece)
                if pause_seconds and (answer := _waiting(connection, pause_seconds)) is not None:
                    return answer + _rest(connection), time.monotonic() - started
        return _rest(connection), time.monotonic() - started


def _waiting(connection: socket.socket, seconds: float) -> bytes | None:
    """Return what the server says within a pause, b"" when it closes; None when it says nothing."""
    connection.settimeout(seconds)
    try:
        return connection.recv(65_536)
    except TimeoutError:
        return None
    finally:
        connection.settimeout(ANSWER_SECONDS_MAX)


def _rest(connection: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            said += piece
    return said
