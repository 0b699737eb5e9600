"""The transactions of `tests/conftest.py` on a database of the module's own: no row of another test is in sight."""

from collections.abc import Iterator, Mapping

import pytest
from sqlalchemy import Connection

from local.stack import Stack
from tests import databases


@pytest.fixture(scope="module")
def environment(servers: Stack) -> Iterator[Mapping[str, str]]:
    with databases.copied(servers.env) as environment:
        yield environment


@pytest.fixture(scope="module")
def owner(environment: Mapping[str, str]) -> Iterator[Connection]:
    with databases.connected(environment["DATABASE_URL"]) as connection:
        yield connection


@pytest.fixture(scope="module")
def worker(environment: Mapping[str, str]) -> Iterator[Connection]:
    with databases.connected(environment["DATABASE_WORKER_URL"]) as connection:
        yield connection


@pytest.fixture(scope="module")
def api(environment: Mapping[str, str]) -> Iterator[Connection]:
    with databases.connected(environment["DATABASE_API_URL"]) as connection:
        yield connection


@pytest.fixture
def tx(owner: Connection) -> Iterator[Connection]:
    yield owner
    owner.rollback()


@pytest.fixture
def worker_tx(worker: Connection) -> Iterator[Connection]:
    yield worker
    worker.rollback()


@pytest.fixture
def api_tx(api: Connection) -> Iterator[Connection]:
    yield api
    api.rollback()
