"""Workers in this process: their settings, database and broker, with nothing left from the test before."""

from collections.abc import Iterator

import pytest
import redis

from local.stack import Stack
from settings import Settings


@pytest.fixture(autouse=True)
def url(fresh: Settings) -> str:
    """The owner's database of this test; `settings()` sees it as the workers' role."""
    return fresh.database_url


@pytest.fixture(autouse=True)
def broker(fresh: Settings) -> Iterator[redis.Redis]:
    """The broker, empty."""
    from workers import app, notices  # noqa: PLC0415 - reads the settings, which only `fresh` has made

    assert app.app.conf.broker_url == fresh.redis_url
    notices._client.cache_clear()  # noqa: SLF001 - a connection of the test before
    with redis.Redis.from_url(fresh.redis_url, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def without_redis(servers: Stack, broker: redis.Redis) -> Iterator[Stack]:
    """Redis, killed: `release("redis")` lets it come back earlier than the test's end does."""
    assert broker
    servers.hold("redis")
    yield servers
    servers.release("redis")
