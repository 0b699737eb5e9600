import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from local import account, leftovers
from local.errors import StackError
from local.stack import Stack

FREE_PORTS = {"API_PORT": "0", "FLOWER_PORT": "0"}
SERVERS = ("postgres", "redis")


@pytest.fixture
def stack(data_dir: Path) -> Iterator[Stack]:
    with Stack(data_dir, FREE_PORTS) as stack:
        stack.start_servers()
        yield stack


def test_a_killed_server_answers_again_within_two_seconds_on_its_port_with_its_data(stack: Stack) -> None:
    _write(stack, "first")
    for name in SERVERS:
        began_at = time.monotonic()
        stack.wait_restarted(name, stack.kill(name))
        assert time.monotonic() - began_at < 2
    assert _read(stack) == ("first", "first")


def test_a_second_start_finds_ports_secrets_and_data_again(data_dir: Path) -> None:
    urls = set()
    for _ in range(2):
        with Stack(data_dir, FREE_PORTS) as stack:
            stack.start_servers()
            urls.add((stack.database_url, stack.redis_url))
            _write(stack, "kept")
    with Stack(data_dir, FREE_PORTS) as stack:
        stack.start_servers()
        assert _read(stack) == ("kept", "kept")
    assert len(urls) == 1


def test_a_clean_stop_leaves_no_process_and_no_pid_file(stack: Stack) -> None:
    pids = [stack.pid(name) for name in SERVERS]
    stack.stop()
    assert [leftovers.command(pid) for pid in pids] == ["", ""]
    assert list((stack.data_dir / "run").iterdir()) == []


def test_a_held_redis_is_down_until_it_is_released(stack: Stack) -> None:
    stack.hold("redis")
    with pytest.raises(redis.ConnectionError):
        _ping(stack)
    stack.release("redis")
    assert _ping(stack)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("unix_socket_directories", ""),
        ("listen_addresses", "127.0.0.1"),
        ("TimeZone", "UTC"),
    ],
)
def test_postgresql_runs_as_durable_and_as_closed_as_in_production(shared: Stack, name: str, value: str) -> None:
    with psycopg.connect(_dsn(shared)) as connection:
        assert connection.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)


@pytest.mark.parametrize(
    ("name", "value"), [("appendonly", "yes"), ("appendfsync", "everysec"), ("maxmemory-policy", "noeviction")]
)
def test_redis_keeps_what_it_is_given(shared: Stack, name: str, value: str) -> None:
    with redis.Redis.from_url(shared.redis_url) as client:
        assert client.config_get(name) == {name: value}


def test_neither_server_lets_a_wrong_password_in(shared: Stack) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(_dsn(shared), password="wrong")
    with (
        redis.Redis.from_url(shared.redis_url.replace("//:", "//:wrong")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_secrets_are_in_files_that_only_their_owner_reads(shared: Stack) -> None:
    files = [shared.data_dir / "kept.json", shared.data_dir / "redis" / "redis.conf"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]


def test_a_folder_in_use_is_refused_with_a_sentence(shared: Stack) -> None:
    with pytest.raises(StackError, match=f"in use by process {os.getpid()}: stop that one first"):
        Stack(shared.data_dir, FREE_PORTS)


def test_servers_that_are_given_are_used_and_none_are_started(shared: Stack, data_dir: Path) -> None:
    given = {"DATABASE_URL": shared.database_url, "REDIS_URL": shared.redis_url}
    with Stack(data_dir, FREE_PORTS | given) as stack:
        stack.start_servers()
        assert (stack.database_url, stack.redis_url) == (shared.database_url, shared.redis_url)
        assert list((data_dir / "run").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand PostgreSQL to another account")
def test_root_keeps_the_cluster_where_postgresql_reaches_it(data_dir: Path) -> None:
    data_dir.chmod(0o700)
    said: list[str] = []
    with Stack(data_dir, FREE_PORTS, say=said.append) as stack:
        home = account.home(data_dir, stack.kept, said.append)
        assert home != data_dir
        assert account.home(data_dir, stack.kept, said.append) == home
    assert "cannot reach" in said[0]
    home.rmdir()


@pytest.fixture(scope="module")
def shared(module_data_dir: Path) -> Iterator[Stack]:
    """Servers for the tests that only look."""
    with Stack(module_data_dir, FREE_PORTS) as stack:
        stack.start_servers()
        yield stack


def _write(stack: Stack, value: str) -> None:
    with psycopg.connect(_dsn(stack)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (note text)")
        connection.execute("INSERT INTO notes VALUES (%s)", [value])
    with redis.Redis.from_url(stack.redis_url) as client:
        client.set("note", value)


def _read(stack: Stack) -> tuple[str, str]:
    with psycopg.connect(_dsn(stack)) as connection:
        row = connection.execute("SELECT note FROM notes LIMIT 1").fetchone()
    with redis.Redis.from_url(stack.redis_url, decode_responses=True) as client:
        return (row[0] if row else "", str(client.get("note")))


def _ping(stack: Stack) -> bool:
    with redis.Redis.from_url(stack.redis_url, retry=None) as client:
        return bool(client.ping())


def _dsn(stack: Stack) -> str:
    return stack.database_url.replace("+psycopg", "")
