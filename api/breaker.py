"""A circuit breaker for what we can do without: after a failure nobody asks for a second, then one at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import redis
import structlog

PAUSE_SECONDS = 1.0
# Redis answers one after the other anyway, and its client's pool fails beyond 100 connections. Who comes with a burst
# waits here: each of those before them takes as long as the client's time limits allow.
AT_ONCE = 16

log = structlog.get_logger()

T = TypeVar("T")


class Breaker:
    def __init__(self, what: str) -> None:
        self._what = what
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
        """Return Redis's answer; None where it gives none, or nobody may ask."""
        async with self._slots:
            if not self.is_closed:  # Asked here, for others may have found out while this one waited.
                return None
            try:
                answer = await question()
            except (redis.RedisError, OSError) as error:
                self.trip(error)
                return None
            self.mend()
            return answer

    def trip(self, error: Exception) -> None:
        self._is_tripped = True
        self._next_at = time.monotonic() + PAUSE_SECONDS
        log.warning("doing without", what=self._what, error=str(error))

    def mend(self) -> None:
        """Let all ask again: the dependency has answered."""
        self._is_tripped = False
