"""Requests are due when they are due: a server that stalls is charged for all who came meanwhile."""

import asyncio
from pathlib import Path
from typing import cast

from bench.bank import Account, Targets
from bench.paced import Paced, drive

RATE, SECONDS, STALL_SECONDS = 100, 0.5, 0.3
ANSWER = b"HTTP/1.1 %d Accepted\r\nContent-Length: 2\r\n\r\n{}"
TARGETS = Targets(
    sources=[Account(token="one", wallet_id="w1"), Account(token="two", wallet_id="w2")], destinations=["w1", "w2"]
)


class Server:
    """Answers with `status`, and for a while after the first request not at all."""

    def __init__(self, status: int, stall_seconds: float) -> None:
        self.answer = ANSWER % status
        self.requests: list[bytes] = []
        self._stall_seconds = stall_seconds
        self._open_at: float | None = None

    def delay(self, now: float) -> float:
        self._open_at = self._open_at or now + self._stall_seconds
        return max(self._open_at - now, 0.0)


class Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._server.requests.append(data)
        loop = asyncio.get_running_loop()
        loop.call_later(self._server.delay(loop.time()), self._transport.write, self._server.answer)


async def driven(server: Server) -> Paced:
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=512)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        return await drive(f"http://127.0.0.1:{port}", TARGETS, RATE, SECONDS)


def test_a_stall_is_charged_for_everybody_who_came_meanwhile() -> None:
    found = asyncio.run(driven(Server(202, STALL_SECONDS)))
    assert (found.sent, found.refused, found.unanswered) == (RATE * SECONDS, 0, 0)
    assert found.accept_ms.p50 > 1_000 * STALL_SECONDS / 10  # Three fifths of them waited, some for all of it.
    assert found.accept_ms.worst >= 1_000 * STALL_SECONDS


def test_each_request_is_a_transfer_between_two_wallets_with_a_key_of_its_own() -> None:
    server = Server(503, 0)
    found = asyncio.run(driven(server))
    assert found.refused == found.sent == len(server.requests)
    keys = {request.partition(b"Idempotency-Key: ")[2].partition(b"\r\n")[0] for request in server.requests}
    assert len(keys) == found.sent
    between = [(b"one" in request, b'source_wallet_id":"w1"' in request) for request in server.requests]
    assert set(between) <= {(True, True), (False, False)}


def test_targets_are_read_as_they_were_written(tmp_path: Path) -> None:
    TARGETS.write(tmp_path / "targets.txt")
    assert Targets.read(tmp_path / "targets.txt") == TARGETS
