"""Clients of REDIS_URL: of the server that it names, or of the master that its sentinels name at the time."""

from typing import Any

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.maint_notifications import MaintNotificationsConfig

from brokers import Sentinels, sentinels

ERRORS = (redis.RedisError, OSError)  # What a client says of a Redis that is away, or refuses.
# Of Redis Enterprise alone. While they may come, a client uses a connection on which something waits to be read: the
# answer to an earlier question would be taken for that to the next one.
NO_NOTIFICATIONS = MaintNotificationsConfig(enabled=False)


def connect(url: str, *, timeout_seconds: float, **options: Any) -> redis.Redis:
    """Return a client, whose connections and answers take `timeout_seconds` at most."""
    options |= _always(timeout_seconds, timeout_seconds)
    found = sentinels(url)
    if found is None:
        return redis.Redis.from_url(url, **options)
    own = _own(found, timeout_seconds)
    manager = redis.sentinel.Sentinel(found.hosts, sentinel_kwargs=own, **_server(found))  # type: ignore[no-untyped-call] # redis has no types here
    client: redis.Redis = manager.master_for(found.master, _Following, **options)  # type: ignore[no-untyped-call] # likewise
    return client


def connect_async(
    url: str, *, timeout_seconds: float | None, connect_seconds: float, **options: Any
) -> redis.asyncio.Redis:
    """Return a client for coroutines. `timeout_seconds` None: an answer may be waited for without end."""
    options |= _always(timeout_seconds, connect_seconds)
    found = sentinels(url)
    if found is None:
        return redis.asyncio.Redis.from_url(url, **options)
    own = _own(found, connect_seconds)
    manager = redis.asyncio.sentinel.Sentinel(found.hosts, sentinel_kwargs=own, **_server(found))  # type: ignore[no-untyped-call] # likewise
    client: redis.asyncio.Redis = manager.master_for(found.master, _FollowingAsync, **options)
    return client


class _Following(redis.Redis):
    """A client that also closes what it asks sentinels by."""

    def close(self) -> None:
        pool: Any = self.connection_pool
        super().close()
        for sentinel in pool.sentinel_manager.sentinels:
            sentinel.close()


class _FollowingAsync(redis.asyncio.Redis):
    """Likewise, for coroutines."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - as it is inherited
        pool: Any = self.connection_pool
        await super().aclose(close_connection_pool)
        await pool.sentinel_manager.aclose()


def _always(timeout_seconds: float | None, connect_seconds: float) -> dict[str, Any]:
    """Return the options of every client."""
    return {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": connect_seconds,
        "maint_notifications_config": NO_NOTIFICATIONS,
    }


def _own(found: Sentinels, timeout_seconds: float) -> dict[str, Any]:
    """Return how to speak to the sentinels themselves: each is tried once, because there are others."""
    return _always(timeout_seconds, timeout_seconds) | {"retry": None} | found.own_credentials | _encryption(found)


def _server(found: Sentinels) -> dict[str, Any]:
    return {"db": found.database} | found.credentials | _encryption(found)


def _encryption(found: Sentinels) -> dict[str, Any]:
    return {} if found.encryption is None else {"ssl": True} | found.encryption
