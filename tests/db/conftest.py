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


@pytest.fixture
def tx(environment: Mapping[str, str]) -> Iterator[Connection]:
    with databases.connected(environment["DATABASE_URL"]) as connection:
        yield connection


@pytest.fixture
def worker_tx(environment: Mapping[str, str]) -> Iterator[Connection]:
    with databases.connected(environment["DATABASE_WORKER_URL"]) as connection:
        yield connection


@pytest.fixture
def api_tx(environment: Mapping[str, str]) -> Iterator[Connection]:
    with databases.connected(environment["DATABASE_API_URL"]) as connection:
        yield connection
