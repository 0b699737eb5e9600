"""Connections that are kept alive for the next post to the same host.

httpcore's own pool looks at every idle socket twice for each request: with 60 endpoints that is half of the time
that a post takes. This one looks at two.
"""

from collections.abc import Callable

import httpcore2

Connect = Callable[[httpcore2.Origin], httpcore2.AsyncHTTPConnection]


class Kept:
    """Idle connections, the longest idle first."""

    def __init__(self, connect: Connect, *, idle_max: int) -> None:
        """`connect` returns a connection that opens itself with its first request."""
        self._connect = connect
        self._idle_max = idle_max
        self._idle: list[httpcore2.AsyncHTTPConnection] = []

    async def take(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        """Return an idle connection that the other side has not closed yet, or a new one."""
        while (connection := self._newest(origin)) is not None:
            if not connection.has_expired():  # Looks at the socket too: an end that has arrived can be read.
                return connection
            await connection.aclose()
        return self._connect(origin)

    async def give(self, connection: httpcore2.AsyncHTTPConnection) -> None:
        """Keep the connection when its last answer ended as it should; close it and what is too many or too old."""
        if connection.is_available():
            self._idle.append(connection)
        else:
            await connection.aclose()
        while len(self._idle) > self._idle_max or (self._idle and self._idle[0].has_expired()):
            await self._idle.pop(0).aclose()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().aclose()

    def _newest(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection | None:
        for place in reversed(range(len(self._idle))):
            if self._idle[place].can_handle_request(origin):
                return self._idle.pop(place)
        return None
