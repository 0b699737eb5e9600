"""Clients of REDIS_URL: of the server that it names, or of the master that its sentinels name at the time."""

from typing import Any

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

from brokers import Sentinels, sentinels


def connect(url: str, *, timeout_seconds: float, **options: Any) -> redis.Redis:
    """Return a client, whose connections and answers take `timeout_seconds` at most."""
    timeouts: dict[str, Any] = {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    found = sentinels(url)
    if found is None:
        return redis.Redis.from_url(url, **timeouts, **options)
    own = _own(found, timeout_seconds)
    manager = redis.sentinel.Sentinel(found.hosts, sentinel_kwargs=own, **_server(found))  # type: ignore[no-untyped-call] # redis has no types here
    client: redis.Redis = manager.master_for(found.master, _Following, **timeouts, **options)  # type: ignore[no-untyped-call] # likewise
    return client


def connect_async(
    url: str, *, timeout_seconds: float | None, connect_seconds: float, **options: Any
) -> redis.asyncio.Redis:
    """Return a client for coroutines. `timeout_seconds` None: an answer may be waited for without end."""
    timeouts: dict[str, Any] = {"socket_timeout": timeout_seconds, "socket_connect_timeout": connect_seconds}
    found = sentinels(url)
    if found is None:
        return redis.asyncio.Redis.from_url(url, **timeouts, **options)
    own = _own(found, connect_seconds)
    manager = redis.asyncio.sentinel.Sentinel(found.hosts, sentinel_kwargs=own, **_server(found))  # type: ignore[no-untyped-call] # likewise
    client: redis.asyncio.Redis = manager.master_for(found.master, _FollowingAsync, **timeouts, **options)
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


def _own(found: Sentinels, timeout_seconds: float) -> dict[str, Any]:
    """Return how to speak to the sentinels themselves: each is tried once, because there are others."""
    once = {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds, "retry": None}
    return once | found.own_credentials | _encryption(found)


def _server(found: Sentinels) -> dict[str, Any]:
    return {"db": found.database} | found.credentials | _encryption(found)


def _encryption(found: Sentinels) -> dict[str, Any]:
    return {} if found.encryption is None else {"ssl": True} | found.encryption
