"""Links that can be bent: TCP connections through a thread beside the test, which delays, holds or resets them.

As a kernel's own queue for it (tc-netem(8)) this needs no module and no root. What a lost packet costs a TCP connection
is a wait, so that is what loss is here.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from random import Random
from typing import Any, Self

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536
RETRANSMISSION_SECONDS = 0.2  # Linux waits no less before it sends a packet again (TCP_RTO_MIN).


class Link:
    """The way to one port. What it does to each chunk may change at any time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int) -> None:
        self.port = 0  # Where it is entered, once it is open.
        self._loop = loop
        self._target = port
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._delay_seconds = 0.0
        self._loss = 0.0
        self._draw = Random()  # noqa: S311 - packets, not secrets
        self._writers: set[asyncio.StreamWriter] = set()

    @contextlib.contextmanager
    def slow(self, delay_seconds: float, loss: float, draw: Random) -> Iterator[None]:
        """Let each chunk take so long, and that share of them a retransmission more."""
        self._draw, self._delay_seconds, self._loss = draw, delay_seconds, loss
        try:
            yield
        finally:
            self._delay_seconds = self._loss = 0.0

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Let nothing through, and nobody know: what was sent arrives afterwards, as after a partition."""
        asyncio.run_coroutine_threadsafe(self._fall_silent(), self._loop).result()
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._is_open.set)

    def reset(self) -> None:
        """Break all connections that there are."""
        self._loop.call_soon_threadsafe(self._abort)

    async def _fall_silent(self) -> None:
        self._is_open.clear()

    async def open(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._is_open.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        self._writers -= ends

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                is_lost = self._loss > 0 and self._draw.random() < self._loss
                if seconds := self._delay_seconds + RETRANSMISSION_SECONDS * is_lost:
                    await asyncio.sleep(seconds)
                await self._is_open.wait()
                writer.write(chunk)
                await writer.drain()
        await self._is_open.wait()
        writer.close()


class Links:
    """Opens links; all of them are there until the end."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._links: list[Link] = []
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, port: int) -> Link:
        link = Link(self._loop, port)
        self._servers.append(self._do(link.open()))
        self._links.append(link)
        return link

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for link in self._links:
            link.reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
