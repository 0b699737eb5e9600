"""Bytes on a socket, as no client library would send them."""

import contextlib
import socket
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

ANSWER_SECONDS_MAX = 45.0  # Above the longest that the API waits for the rest of a request.


def connected(api_url: str) -> socket.socket:
    address = urlsplit(api_url)
    assert address.hostname is not None
    return socket.create_connection((address.hostname, address.port or 80), ANSWER_SECONDS_MAX)


def exchange(api_url: str, *sent: bytes, pause_seconds: float = 0) -> bytes:
    """Send pieces with a pause between them, until the server closes or all are sent; return what it said."""
    return _exchange(api_url, sent, pause_seconds)[0]


def seconds_until_closed(api_url: str, *sent: bytes, pause_seconds: float = 0) -> float:
    return _exchange(api_url, sent, pause_seconds)[1]


def _exchange(api_url: str, sent: Sequence[bytes], pause_seconds: float) -> tuple[bytes, float]:
    started = time.monotonic()
    with connected(api_url) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in sent:
                connection.sendall(piece)
                if pause_seconds and (answer := heard(connection, pause_seconds)) is not None:
                    return answer + rest(connection), time.monotonic() - started
        return rest(connection), time.monotonic() - started


def trickle(api_url: str, first: Sequence[bytes], then: bytes, *, pause_seconds: float) -> tuple[bytes, float]:
    """Send the pieces of `first`, then `then` again and again; return all answers, and the seconds until it closed.

    Raises:
        AssertionError: it does not close.

    """
    started, said = time.monotonic(), b""
    with connected(api_url) as connection:
        for begun in first:
            connection.sendall(begun)
            time.sleep(pause_seconds)
        while time.monotonic() - started < ANSWER_SECONDS_MAX:
            piece = heard(connection, pause_seconds)
            if piece == b"":
                return said, time.monotonic() - started
            said += piece or b""
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(then)
    raise AssertionError(f"still open after {ANSWER_SECONDS_MAX} s; it said {said!r}")


def heard(connection: socket.socket, seconds: float) -> bytes | None:
    """Return what the server says within these seconds, b"" when it closes; None when it says nothing."""
    connection.settimeout(seconds)
    try:
        return connection.recv(65_536)
    except TimeoutError:
        return None
    except ConnectionResetError:
        return b""
    finally:
        connection.settimeout(ANSWER_SECONDS_MAX)


def rest(connection: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            said += piece
    return said
