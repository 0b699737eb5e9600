"""A circuit breaker for what we can do without: after a failure nobody asks for a second, then one at a time."""

import time

import structlog

PAUSE_SECONDS = 1.0

log = structlog.get_logger()


class Breaker:
    def __init__(self, what: str) -> None:
        self._what = what
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

    def trip(self, error: Exception) -> None:
        self._is_tripped = True
        self._next_at = time.monotonic() + PAUSE_SECONDS
        log.warning("doing without", what=self._what, error=str(error))

    def mend(self) -> None:
        """Let all ask again: the dependency has answered."""
        self._is_tripped = False
