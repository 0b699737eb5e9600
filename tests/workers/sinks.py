"""The other side of webhooks: servers that answer as told, names that resolve as told, and a recorded network."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum
from functools import cache
from typing import Any

import httpcore2

from workers.outbound import Outbound

HEADERS = {"webhook-id": "evt_1", "content-type": "application/json"}
BODY = b'{"type":"transaction.succeeded"}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PUBLIC = "93.184.216.34"  # Nobody connects to it: the network is recorded.
NOTICED_SECONDS_MAX = 5.0  # It is a millisecond; the machine may do much else at the time.

Respond = Callable[["Sink", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class End(Enum):
    KEPT = "kept"  # Wait for the next request.
    CLOSED = "closed"
    RESET = "reset"


class Sink:
    """A server on a free port of 127.0.0.1; counts connections, keeps requests."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.port = 0
        self.connections = 0
        self.open = 0
        self.open_max = 0
        self.requests: list[bytes] = []
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.open_max = max(self.open, self.open_max)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self.respond(self, reader, writer)
        finally:
            self.open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def listening(respond: Respond, context: ssl.SSLContext | None = None) -> AsyncIterator[Sink]:
    sink = Sink(respond)
    server = await asyncio.start_server(sink.accept, "127.0.0.1", 0, ssl=context)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        for task in sink.tasks:
            task.cancel()
        await asyncio.gather(*sink.tasks, return_exceptions=True)
        await server.wait_closed()


def answering(*pieces: bytes, pause_seconds: float = 0, end: End = End.KEPT) -> Respond:
    """Answer each request by these pieces with pauses between them; by silence if there are none."""

    async def respond(sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            sink.requests.append(await read_request(reader))
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if pause_seconds:
                    await asyncio.sleep(pause_seconds)
            if end is End.RESET:
                hang_up(writer)
            if end is not End.KEPT:
                return

    return respond


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head + await reader.readexactly(int(length))


def hang_up(writer: asyncio.StreamWriter) -> None:
    """Send a reset instead of the end."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the other side is about to notice."""
    async with asyncio.timeout(NOTICED_SECONDS_MAX):
        while not condition():  # noqa: ASYNC110 - what the system tells the sink has no event
            await asyncio.sleep(0.005)


class Names:
    """A resolver that gives these answers in turn, and the last one for ever; an exception is raised."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Diverted(httpcore2.AsyncNetworkBackend):
    """A network whose every address is a port of this machine, except the dead and the silent ones."""

    def __init__(
        self, port: int | None, *, dead: frozenset[str] = frozenset(), silent: frozenset[str] = frozenset()
    ) -> None:
        self.port = port
        self.dead = dead
        self.silent = silent
        self.connected: list[tuple[str, int]] = []

    async def connect_tcp(self, host: str, port: int, *_: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        self.connected.append((host, port))
        if host in self.silent:
            await asyncio.sleep(options["timeout"])
            raise httpcore2.ConnectTimeout
        if host in self.dead or self.port is None:
            raise httpcore2.ConnectError
        return await httpcore2.AnyIOBackend().connect_tcp("127.0.0.1", self.port, **options)


@contextlib.asynccontextmanager
async def outbound(**changes: Any) -> AsyncIterator[Outbound]:
    """Webhooks' way out, with loopback and short times unless a test says otherwise."""
    usual = {"timeout_seconds": 5.0, "connect_timeout_seconds": 2.0, "allow_loopback": True, "connections_max": 20}
    made = Outbound(**(usual | {"ssl_context": trusting_nobody()} | changes))
    try:
        yield made
    finally:
        await made.close()


@cache
def trusting_nobody() -> ssl.SSLContext:
    """Return what costs less time to make than the list of all authorities."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
