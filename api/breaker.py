"""A circuit breaker for what we can do without: after a failure nobody asks for a second, then one at a time."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import redis.asyncio
import structlog

import logs
from redis_clients import ERRORS

PAUSE_SECONDS = 1.0
# Redis answers one after the other anyway, and its client's pool fails beyond 100 connections. Who comes with a burst
# waits here: each of those before them takes as long as the client's time limits allow.
AT_ONCE = 16

log = structlog.get_logger()

T = TypeVar("T")


class Breaker:
    def __init__(self, what: str, client: redis.asyncio.Redis) -> None:
        self._what = what
        self._client = client
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._is_tripped = False
        self._next_at = 0.0

    @property
    def is_closed(self) -> bool:
        """Whether the dependency may be asked: after a failure by one a pause, so that what is frozen holds up few."""
        if not self._is_tripped:
            return True
        now = time.monotonic()
        if now < self._next_at:
            return False
        self._next_at = now + PAUSE_SECONDS
        return True

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """Return Redis's answer; None where it gives none, or none to this question, or nobody may ask."""
        async with self._slots:
            if not self.is_closed:  # Asked here, for others may have found out while this one waited.
                return None
            try:
                answer = await question()
            # Of a connection that was just reset, redis-py 8.1 lets out the event loop's error: uvloop's RuntimeError,
            # or asyncio's TypeError of Python 3.12 (redis-py's issue 4287).
            except Exception as error:  # noqa: BLE001 - no surprise of what we can do without may fail a request
                self.trip(error)
                if not isinstance(error, ERRORS):
                    await self._leave_connections()
                return None
            self.mend()
            return answer

    async def _leave_connections(self) -> None:
        """Trust none of the connections any more, whatever it was. One in use is closed when it is given back."""
        pool = self._client.connection_pool
        with contextlib.suppress(Exception):  # Others may be at the same, or at one of them.
            await pool.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call] # redis has no types here
            await pool.disconnect(inuse_connections=False)

    def trip(self, error: Exception) -> None:
        self._is_tripped = True
        self._next_at = time.monotonic() + PAUSE_SECONDS
        log.warning("doing without", what=self._what, error=str(error), exc_info=logs.surprise(error, ERRORS))

    def mend(self) -> None:
        """Let all ask again: the dependency has answered."""
        self._is_tripped = False
