"""Rates: how often a caller may come, counted in Redis so that all processes count together.

Without Redis there is no count: money is guarded by the ledger, and locking everybody out would turn
a broker's restart into an outage.
"""

import time
from typing import Any

import limits
import limits.aio.storage
import limits.aio.strategies
import redis

import redis_clients
from api.breaker import Breaker
from api.errors import TooManyRequests
from settings import Settings

TIMEOUT_SECONDS = 0.25


class Limits:
    def __init__(self, settings: Settings) -> None:
        self._client = redis_clients.connect_async(
            settings.redis_url, timeout_seconds=TIMEOUT_SECONDS, connect_seconds=TIMEOUT_SECONDS
        )
        # A pool of ours, so that it can be closed and may follow a master; the library has no type for it.
        pool: dict[str, Any] = {"connection_pool": self._client.connection_pool}
        storage = limits.aio.storage.RedisStorage("async+redis://", implementation="redispy", **pool)
        self._windows = limits.aio.strategies.MovingWindowRateLimiter(storage)
        self._breaker = Breaker("rate limits")
        self._rates = {
            "login": settings.logins_per_minute_max,
            "registration": settings.registrations_per_minute_max,
            "post": settings.posts_per_minute_max,
        }

    async def hit(self, rate: str, who: str) -> None:
        """Count one more.

        Raises:
            TooManyRequests: that is more than a minute allows.

        """
        most = self._rates[rate]
        if most == 0 or not self._breaker.is_closed:
            return
        item = limits.RateLimitItemPerMinute(most)
        try:
            is_within = await self._windows.hit(item, rate, who)
            self._breaker.mend()
            if is_within:
                return
            reset = await self._windows.get_window_stats(item, rate, who)
        except (redis.RedisError, OSError, limits.errors.StorageError) as error:
            self._breaker.trip(error)
            return
        raise TooManyRequests(retry_after=max(1, round(reset.reset_time - time.time())))

    async def close(self) -> None:
        await self._client.aclose()
