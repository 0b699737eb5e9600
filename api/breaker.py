"""A circuit breaker for what we can do without: after a failure, nobody asks for a second."""

import time

import structlog

PAUSE_SECONDS = 1.0

log = structlog.get_logger()


class Breaker:
    def __init__(self, what: str) -> None:
        self._what = what
        self._open_until = 0.0

    @property
    def is_closed(self) -> bool:
        """Whether the dependency may be asked."""
        return time.monotonic() >= self._open_until

    def trip(self, error: Exception) -> None:
        self._open_until = time.monotonic() + PAUSE_SECONDS
        log.warning("doing without", what=self._what, error=str(error))
