"""Clients of a server, of a master that sentinels name, of a socket, and of what speaks TLS: all real."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
import redis.asyncio

from local import ports, programs
from local.child import Child
from local.stack import Stack
from redis_clients import connect, connect_async
from tests.sentinels import Watched, watched
from tests.supervised import Supervised
from tests.tls import fronted, trusted
from tests.workers.certificates import Authority

SECONDS = 10.0  # All of these are there, or at once not: only on a busy machine an answer takes any time.
ARRIVE_SECONDS = 0.5


@pytest.fixture(scope="module")
def sentinels(module_data_dir: Path) -> Iterator[Watched]:
    with watched(module_data_dir) as servers:
        yield servers


@pytest.fixture
def encrypted(servers: Stack, tmp_path: Path) -> Iterator[str]:
    """Return the address of a server that speaks TLS, without who signed its certificate."""
    plain = urlsplit(servers.redis_url)
    authority = Authority(tmp_path)
    trusted(authority, tmp_path)
    with fronted(plain.port or 0, authority.serving(ports.HOST)) as port:
        yield f"rediss://:{plain.password}@{ports.HOST}:{port}/0"


def ask(url: str) -> list[object]:
    """Write by one kind of client and read by the other."""

    async def read() -> object:
        client = connect_async(url, timeout_seconds=SECONDS, connect_seconds=SECONDS)
        async with client:
            return await client.get("what")

    with connect(url, timeout_seconds=SECONDS) as client:
        client.set("what", url)
        assert asyncio.run(read()) == url.encode()
        return [client.get("what")]


def test_a_server_is_reached_by_its_own_address(servers: Stack) -> None:
    assert ask(servers.redis_url) == [servers.redis_url.encode()]


def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next_one(servers: Stack) -> None:
    async def read() -> object:
        async with connect_async(servers.redis_url, timeout_seconds=SECONDS, connect_seconds=SECONDS) as client:
            await client.set("what", "this")
            left = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call] # redis has no types here
            await left.send_command("PING")
            await asyncio.sleep(ARRIVE_SECONDS)  # Its answer arrives.
            await client.connection_pool.release(left)
            return await client.get("what")

    assert asyncio.run(read()) == b"this"


def test_a_server_is_reached_by_its_socket(module_data_dir: Path) -> None:
    folder = module_data_dir / "socket"
    folder.mkdir()
    url = f"unix://:pw@{folder}/redis.sock?db=0"
    argv = (str(programs.redis_program()), "--port", "0", "--unixsocket", f"{folder}/redis.sock", "--requirepass", "pw")
    with Supervised(folder) as supervised:
        child = Child(name="redis", argv=argv, env={}, cwd=folder, stage=0)
        supervised.start(child, (folder / "redis.sock").exists)
        assert ask(url) == [url.encode()]


def test_what_sentinels_call_master_is_reached_also_after_it_is_another_one(sentinels: Watched) -> None:
    with connect(sentinels.url, timeout_seconds=SECONDS) as client:
        client.set("before", "1")
        first = sentinels.master()
        sentinels.fail_over()
        assert client.set("after", "2")
        assert client.get("before") == b"1"
    assert sentinels.master() != first
    assert ask(sentinels.url) == [sentinels.url.encode()]


def test_a_sentinel_that_is_away_is_passed_over(sentinels: Watched) -> None:
    gone = sentinels.url.replace("@", f"@{ports.HOST}:{ports.free()},")
    assert ask(gone) == [gone.encode()]


@pytest.mark.parametrize(
    ("old", "new"),
    [("sentinel_password=", "sentinel_password=wrong"), ("/tekana-queue/", "/another/"), ("//:", "//:wrong")],
    ids=["sentinels refuse the password", "sentinels know no such master", "the master refuses the password"],
)
def test_who_is_not_let_in_hears_it_as_an_error_of_redis(sentinels: Watched, old: str, new: str) -> None:
    url = sentinels.url.replace(old, new)
    with pytest.raises(redis.RedisError), connect(url, timeout_seconds=SECONDS) as client:
        client.ping()


def test_a_certificate_is_verified_by_who_is_trusted(encrypted: str, tmp_path: Path) -> None:
    url = f"{encrypted}?ssl_ca_certs={tmp_path}/authority.pem"
    assert ask(url) == [url.encode()]


def test_a_certificate_by_a_stranger_is_refused(encrypted: str) -> None:
    with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(encrypted)
