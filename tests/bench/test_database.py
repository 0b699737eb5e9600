"""Questions to a real server, and its client programs."""

import sys
import time
from collections.abc import Iterator

import pytest

from bench.database import Database, program
from local.stack import Stack


@pytest.fixture(scope="module")
def database(servers: Stack) -> Iterator[Database]:
    found = Database(servers.database_url)
    yield found
    found.close()


def test_a_question_has_one_answer(database: Database) -> None:
    assert database.value("SELECT current_user || '@' || %(name)s", name="x") == "tekana@x"


def test_its_clock_is_ours(database: Database) -> None:
    assert database.now() == pytest.approx(time.time(), abs=1)


def test_another_database_can_be_named(servers: Stack) -> None:
    url = servers.database_url
    assert program(url, "psql", "-XAtc", "SELECT current_database()", database="postgres") == "postgres\n"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is where the arguments of a process can be read")
def test_a_client_program_shows_no_password_among_its_arguments(servers: Stack) -> None:
    seen = program(servers.database_url, "psql", "-XAtc", r"\! tr '\0' ' ' < /proc/$PPID/cmdline", database="tekana")
    assert "psql -XAtc" in seen
    assert servers.kept.get("database_password") not in seen
