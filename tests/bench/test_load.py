import sys

import pytest

from bench.load import postgres, query
from local.stack import Stack


def test_a_query_returns_its_single_value(servers: Stack) -> None:
    assert query(servers, "SELECT current_user || '@' || current_database()") == "tekana@tekana"


def test_another_database_can_be_named(servers: Stack) -> None:
    argv = ("-XAtc", "SELECT current_database()")
    assert postgres(servers, "psql", *argv, database="postgres") == "postgres\n"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is where the arguments of a process can be read")
def test_a_client_program_shows_no_password_among_its_arguments(servers: Stack) -> None:
    seen = query(servers, r"\! tr '\0' ' ' < /proc/$PPID/cmdline")
    assert "psql -XAtc" in seen
    assert servers.kept.get("database_password") not in seen
