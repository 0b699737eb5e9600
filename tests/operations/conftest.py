"""Operations: what stands around the system in production, tried for real; the figures are shown at the end."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.operations.figures import PROPERTY, Operation, table, write
from tests.reports import keep, kept

TRIALS = int(os.environ.get("OPERATION_TRIALS", "3"))

Recorder = Callable[[Operation], None]


@pytest.fixture(params=range(TRIALS))
def trial(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def recorder(request: pytest.FixtureRequest) -> Recorder:
    """Keep a trial's figures with the test's report, from where the table is made."""
    return lambda operation: keep(request, PROPERTY, operation)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    operations = kept(terminalreporter, PROPERTY, Operation)
    if not operations:
        return
    terminalreporter.section("operations")
    terminalreporter.write(table(operations))
    if path := os.environ.get("OPERATIONS_TABLE"):
        write(Path(path), operations)
