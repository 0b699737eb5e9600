"""Workers in this process: their settings, database and broker, with nothing left from the test before."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

import settings as environment
from local.stack import Stack
from settings import Settings
from tests.absent import A_NUMBER, answering


@pytest.fixture
def broker(configured: Settings) -> Iterator[redis.Redis]:
    """The broker, empty."""
    from workers import app, notices  # noqa: PLC0415 - reads the settings, which only `configured` has made

    assert app.app.conf.broker_url == configured.redis_url
    notices._client.cache_clear()  # noqa: SLF001 - a connection of the test before
    with redis.Redis.from_url(configured.redis_url, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def url(broker: redis.Redis, fresh: Settings) -> str:
    """The owner's database of this test; `settings()` sees it as the workers' role, beside an empty broker."""
    assert broker
    return fresh.database_url


@pytest.fixture
def outage(servers: Stack, broker: redis.Redis) -> Iterator[contextlib.ExitStack]:
    """Kill Redis and keep it down until `outage.close()`, or the end of the test."""
    assert broker
    servers.hold("redis")
    with contextlib.ExitStack() as outage:
        outage.callback(servers.release, "redis")
        yield outage


@pytest.fixture
def stranger(servers: Stack, outage: contextlib.ExitStack) -> Iterator[None]:
    """Let something else than Redis answer in its place until the end of the test."""
    assert outage
    with answering(A_NUMBER, port=urlsplit(servers.redis_url).port or 0):
        yield


@pytest.fixture
def frozen(servers: Stack, broker: redis.Redis) -> Iterator[int]:
    """Stop Redis without killing it: it takes connections and answers nothing until the end of the test."""
    assert broker
    pid = servers.pid("redis")
    os.kill(pid, signal.SIGSTOP)
    yield pid
    os.kill(pid, signal.SIGCONT)


@pytest.fixture
def heartbeats(configured: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where heartbeats go, and nothing is yet."""
    assert configured
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    environment.settings.cache_clear()
    return tmp_path / "heartbeat"
