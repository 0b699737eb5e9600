"""Real servers for every test: PostgreSQL and Valkey in `servers`, the whole system in `stack`."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import Connection, create_engine

import cli
import db.engine
import settings
from local.stack import Stack
from tests import databases, distribution
from tests.verbs import Done, Tekana

FREE_PORTS = {"API_PORT": "0", "FLOWER_PORT": "0"}
GIVEN = {
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "DATABASE_READ_URL",
    "DATABASE_READ_URL_FILE",
    "BROKER_URL",
    "BROKER_URL_FILE",
    "REDIS_URL",
    "REDIS_URL_FILE",
}  # Tests run on servers of their own, whatever the shell has set.

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in it is made with a name of chance, for its owner only
SERVER_BYTES_MAX = 4 * 2**30  # Its log may grow to two GiB, and each of some test processes has a server or two.


def pytest_configure() -> None:
    distribution.share_ports()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    distribution.sort(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> distribution.TwoEnds:
    config.option.loadscopereorder = False  # The order is the one that `sort` made.
    return distribution.TwoEnds(config, log)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def module_data_dir() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@contextlib.contextmanager
def reachable_folder(within: Path | None = None) -> Iterator[Path]:
    """Make a folder that PostgreSQL's account reaches when we are root; pytest's own are closed to it."""
    with tempfile.TemporaryDirectory(prefix="tekana-test-", dir=within) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def in_memory() -> Path | None:
    """Return a folder in memory with room for a server, or None.

    A test's own database is 500 files. To make one on a disk may take a millisecond, in memory a tenth.
    """
    has_room = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free >= SERVER_BYTES_MAX
    return SHARED_MEMORY if has_room and os.access(SHARED_MEMORY, os.W_OK) else None


def environment(**changes: str) -> dict[str, str]:
    """Return what a user's shell would hold: free ports, and no servers of somebody else."""
    return {name: value for name, value in os.environ.items() if name not in GIVEN} | FREE_PORTS | changes


@contextlib.contextmanager
def migrated(folder: Path, **changes: str) -> Iterator[Stack]:
    """PostgreSQL and Valkey, migrated, without any process of ours."""
    with Stack(folder, environment(**changes)) as stack:
        stack.start_servers()
        databases.forgo_syncs(stack.database_url)
        stack.migrate()
        yield stack


@pytest.fixture(scope="session")
def servers() -> Iterator[Stack]:
    """Servers for all tests that have none of their own: tests of db and workers are the worker."""
    with reachable_folder(in_memory()) as folder, migrated(folder) as stack:
        databases.forgo_vacuums(stack.database_url)
        yield stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The whole system, shared by the tests that only speak HTTP to it."""
    with reachable_folder() as folder, migrated(folder) as stack:
        stack.start_processes()
        stack.wait_ready()
        yield stack


@pytest.fixture
def configured(servers: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[settings.Settings]:
    """Let code of this process that calls `settings()` see the test servers."""
    for name, value in servers.env.items():
        monkeypatch.setenv(name, value)
    settings.settings.cache_clear()
    result = settings.settings()
    yield result
    close_connections(result)
    settings.settings.cache_clear()


@pytest.fixture
def fresh(
    configured: settings.Settings, servers: Stack, monkeypatch: pytest.MonkeyPatch
) -> Iterator[settings.Settings]:
    """As `configured`, on an empty database of the test's own, in which it may commit."""
    with databases.copied(servers.env) as env:
        for name in databases.URLS:
            monkeypatch.setenv(name, env[name])
        settings.settings.cache_clear()
        result = settings.settings()
        assert result.database_url != configured.database_url
        yield result
        close_connections(result)


def close_connections(config: settings.Settings) -> None:
    """Close what this process keeps open to the databases, and forget that it did."""
    for url in (config.database_url, config.database_api_url, config.database_worker_url):
        with contextlib.suppress(settings.SettingsError):  # A test spoiled the environment: then it was never opened.
            db.engine.engine(url).dispose()
    db.engine.engine.cache_clear()


@pytest.fixture
def tx(servers: Stack) -> Iterator[Connection]:
    """A transaction of the schema's owner that is rolled back at the end."""
    yield from rolled_back(servers.database_url)


@pytest.fixture
def worker_tx(servers: Stack) -> Iterator[Connection]:
    """A transaction of the workers' role that is rolled back at the end."""
    yield from rolled_back(servers.env["DATABASE_WORKER_URL"])


@pytest.fixture
def api_tx(servers: Stack) -> Iterator[Connection]:
    """A transaction of the API's role that is rolled back at the end."""
    yield from rolled_back(servers.env["DATABASE_API_URL"])


def rolled_back(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    with engine.connect() as connection:
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.fixture
def tekana(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tekana:
    """Return a function that runs the command in this process: a new one needs most of a second to start."""

    def run(*arguments: str, **changes: str) -> Done:
        # The whole environment is given back: without a database the command takes over what `make run` left here.
        with monkeypatch.context() as changed, patch.dict(os.environ, changes):
            changed.setattr(sys, "argv", ["tekana", *arguments])
            settings.settings.cache_clear()
            with pytest.raises(SystemExit) as ended:
                cli.main()
        settings.settings.cache_clear()
        said = capsys.readouterr()
        code = ended.value.code
        if isinstance(code, str):  # The interpreter prints it, and exits with 1.
            return Done(1, said.out, said.err + code)
        return Done(code or 0, said.out, said.err)

    return run
