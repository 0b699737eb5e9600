"""A bent link does to a connection what it says."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.flows.links import HOST, Link, Links
from tests.flows.seeds import draw

DELAY_SECONDS = 0.05
SILENCE_SECONDS = 0.2


@pytest.fixture
def links() -> Iterator[Links]:
    with Links() as links:
        yield links


@pytest.fixture
def far() -> Iterator[socket.socket]:
    """Somebody who sends back what comes, on each connection."""
    with socket.create_server((HOST, 0)) as server:
        threading.Thread(target=_serve, args=[server], daemon=True).start()
        yield server


@pytest.fixture
def link(links: Links, far: socket.socket) -> Link:
    return links.open(far.getsockname()[1])


@pytest.fixture
def near(link: Link) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, link.port), timeout=10) as near:
        assert _echo(near) == b"?"
        yield near


def test_a_slow_link_delays_both_ways(link: Link, near: socket.socket) -> None:
    started = time.monotonic()
    with link.slow(DELAY_SECONDS, 0, draw("a slow link")):
        assert _echo(near) == b"?"
    assert time.monotonic() - started >= 2 * DELAY_SECONDS


def test_what_is_sent_into_silence_arrives_afterwards(link: Link, near: socket.socket) -> None:
    started = time.monotonic()
    with link.silent():
        near.sendall(b"!")
        near.settimeout(SILENCE_SECONDS)
        with pytest.raises(TimeoutError):
            near.recv(1)
    near.settimeout(10)
    assert near.recv(1) == b"!"
    assert time.monotonic() - started >= SILENCE_SECONDS


def test_a_reset_is_the_end_of_connections_and_not_of_the_link(link: Link, near: socket.socket) -> None:
    link.reset()
    assert _end(near) in {b"", None}
    with socket.create_connection((HOST, link.port), timeout=10) as another:
        assert _echo(another) == b"?"


def test_an_end_is_passed_on(near: socket.socket) -> None:
    near.shutdown(socket.SHUT_WR)
    assert near.recv(1) == b""


def _serve(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_send_back, args=[connection], daemon=True).start()


def _send_back(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(100):
                connection.sendall(data)
        except OSError:
            return


def _echo(near: socket.socket) -> bytes:
    near.sendall(b"?")
    return near.recv(1)


def _end(near: socket.socket) -> bytes | None:
    try:
        return near.recv(1)
    except ConnectionResetError:
        return None
