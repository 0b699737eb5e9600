"""What a test found out, kept with its report, from where the end of the run shows it."""

from typing import TypeVar

import msgspec
import pytest

T = TypeVar("T")


def keep(request: pytest.FixtureRequest, name: str, found: object) -> None:
    request.node.user_properties.append((name, msgspec.to_builtins(found)))


def kept(reporter: pytest.TerminalReporter, name: str, kind: type[T]) -> list[T]:
    """Return what all tests of the run have kept under this name: the last report of each has all of it."""
    reports = [report for group in reporter.stats.values() for report in group]
    return [
        msgspec.convert(value, kind)
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for known, value in report.user_properties
        if known == name
    ]
