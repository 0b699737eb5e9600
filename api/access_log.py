"""The access log: a line for each answer, with who asked for what in the words of the routes, never in the client's.

No path, query or header of the client's: an unknown path may hold anything. No address either: it is personal data, and
behind a load balancer it is the load balancer's. Who needs it finds it there, under the same request id.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

import tracing
from logs import FIRST, Output
from settings import Settings

PROBES = frozenset({"/health/live", "/health/ready", "/metrics"})  # Asked every few seconds, and nobody's request.
UNKNOWN = "unknown"  # The route of paths that are not there.

PIPE_BYTES = 4096  # PIPE_BUF on Linux (pipe(7)): so much goes into a pipe in one piece, whoever else writes to it.

LogAccess = Callable[[Mapping[str, Any], int, float], None]


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What structlog would write, for less than half of the time: a line is written for every request."""

    timestamp: datetime
    level: str
    event: str
    method: str
    route: str  # As the documentation has it; `unknown` for a path that it has not.
    status: int
    duration_ms: float  # To the end of the answer.
    request_id: str
    caller: str | None = None  # `customer:...` or `key:...`; nobody, if there were no valid credentials.
    job_id: str | UUID | None = None
    trace_id: str | None = None
    span_id: str | None = None


def access_log(config: Settings) -> LogAccess:
    """Return what logs the answer to a request: its scope, its status, and how many seconds it took."""
    if not config.access_log or config.log_level not in {"debug", "info"}:
        return _say_nothing
    return partial(_write if config.log_format == "json" else _say, GatheredOutput())


class GatheredOutput:
    """Standard output, to which the lines of one turn of the event loop go together.

    The answers to a flush come by the dozen, and with each system call the event loop would give up Python's lock.
    """

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._flush)
        self._lines.append(line)

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        piece = b""
        for line in lines:
            if piece and len(piece) + len(line) + 2 > PIPE_BYTES:  # Two line ends.
                Output().write(piece)
                piece = b""
            piece = piece + b"\n" + line if piece else line
        Output().write(piece)


def _say_nothing(_: Mapping[str, Any], __: int, ___: float) -> None:
    """Nobody reads it."""


def _write(output: GatheredOutput, scope: Mapping[str, Any], status: int, seconds: float) -> None:
    line = _line(scope, status, seconds)
    if line.route not in PROBES:
        output.write(msgspec.json.encode(line))


def _say(output: GatheredOutput, scope: Mapping[str, Any], status: int, seconds: float) -> None:
    line = _line(scope, status, seconds)
    if line.route not in PROBES:
        plain = msgspec.to_builtins(line)
        said = " ".join(f"{name}={value}" for name, value in plain.items() if name not in FIRST)
        output.write(f"{plain['timestamp']} [{line.level:9}] {line.event:30} {said}".encode())


def _line(scope: Mapping[str, Any], status: int, seconds: float) -> Line:
    state, caller = scope["state"], scope.get("auth")
    return Line(
        timestamp=datetime.now(UTC),
        level="info",
        event="request",
        method=scope["method"],
        route=scope.get("path_template") or UNKNOWN,
        status=status,
        duration_ms=round(seconds * 1_000, 1),
        request_id=state["request_id"],
        caller=None if caller is None else caller.subject,
        job_id=state.get("job_id") or scope.get("path_params", {}).get("job_id"),
        **tracing.ids(),
    )
