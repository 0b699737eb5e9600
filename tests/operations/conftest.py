"""Operations: what stands around the system in production, tried for real; the figures are shown at the end."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.operations.figures import PROPERTY, Operation, table, write

TRIALS = int(os.environ.get("OPERATION_TRIALS", "3"))

Recorder = Callable[[Operation], None]


@pytest.fixture(params=range(TRIALS))
def trial(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def recorder(request: pytest.FixtureRequest) -> Recorder:
    """Keep a trial's figures with the test's report, from where the table is made."""
    return lambda operation: request.node.user_properties.append((PROPERTY, msgspec.to_builtins(operation)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for group in terminalreporter.stats.values() for report in group]
    operations = [
        msgspec.convert(value, Operation)
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if not operations:
        return
    terminalreporter.section("operations")
    terminalreporter.write(table(operations))
    if path := os.environ.get("OPERATIONS_TABLE"):
        write(Path(path), operations)
