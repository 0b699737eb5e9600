"""Logs: one line an event, as JSON in production, without what callers sent.

What libraries log takes the same way as ours. structlog's default prints tracebacks with local variables, and a local
variable may be a password.
"""

import contextlib
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import msgspec
import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

import tracing
from settings import Settings

# PostgreSQL's DETAIL and CONTEXT quote the row: `Key (email)=(...)`, `Failing row contains (...)`, with its line
# breaks. Errors come here without (see `db.errors`); this is for texts that came another way.
QUOTED_ROW = re.compile(
    r"^(?:DETAIL|CONTEXT):(?:.|\n)*?(?=^(?:HINT:|\[SQL:|\(Background |Traceback |The above |During )|\Z)", re.MULTILINE
)
STANDARD_OUTPUT = 1
FIRST = ("timestamp", "level", "event")  # Of a line, for whoever reads it as it is.

log = structlog.get_logger()


def configure(config: Settings) -> None:
    """Send all that this process says to standard output, and what nobody catches too."""
    level = logging.getLevelNamesMapping()[config.log_level.upper()]
    render = to_json if config.log_format == "json" else _to_text
    structlog.configure(
        processors=[*SHARED, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=Output,
        cache_logger_on_first_use=True,  # Otherwise a line costs 70 microseconds in the place of 15.
    )
    # Below `info`, libraries log messages, headers and rows.
    logging.basicConfig(handlers=[FromLibraries(render)], level=max(level, logging.INFO), force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_death


def surprise(error: Exception, usual: tuple[type[Exception], ...]) -> Exception | None:
    """Return the error as `exc_info`: a traceback is worth its lines only where it is none of the usual ones."""
    return None if isinstance(error, usual) else error


def hide_rows(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Cut the rows that PostgreSQL quotes out of an event's texts."""
    for name, value in event.items():
        if isinstance(value, str) and ("DETAIL:" in value or "CONTEXT:" in value):
            event[name] = QUOTED_ROW.sub("", value)
    return event


def add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Say in which trace the event is found."""
    event.update(tracing.ids())
    return event


def to_json(_: WrappedLogger, __: str, event: EventDict) -> bytes:
    ordered: dict[Any, Any] = {name: event.pop(name) for name in FIRST if name in event} | dict(event)
    try:
        return msgspec.json.encode(ordered, enc_hook=repr)
    except (TypeError, UnicodeEncodeError):  # A name that is no text, a lone surrogate: rare, and no reason to fail.
        return json.dumps({str(name): value for name, value in ordered.items()}, default=repr).encode()


def _to_text(logger: WrappedLogger, name: str, event: EventDict) -> bytes:
    plain = {one: msgspec.to_builtins(value, enc_hook=repr) for one, value in event.items()}
    return str(_console(logger, name, plain)).encode(errors="backslashreplace")


_console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    add_trace,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    hide_rows,
]


class Output:
    """Standard output, by a system call for each write: what threads, forks and signal handlers write stays apart."""

    def __init__(self, *_: object) -> None:
        """Nothing is kept, and nothing is locked when a process forks."""

    def write(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # A full disk, or a reader that has gone, must fail no request.
            os.write(STANDARD_OUTPUT, line + b"\n")

    debug = info = warning = error = critical = write


class FromLibraries(logging.Handler):
    """Makes of a library's record a line like ours, with its logger's name and nothing of its `extra`."""

    def __init__(self, render: Callable[[WrappedLogger, str, EventDict], bytes]) -> None:
        super().__init__()
        self.setFormatter(
            ProcessorFormatter(
                foreign_pre_chain=[structlog.stdlib.add_logger_name, *SHARED],
                processors=[ProcessorFormatter.remove_processors_meta, lambda *event: render(*event).decode()],
            )
        )

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - a malformed record must not fail the library that logs it
            log.warning("unreadable record", logger=record.name, line=f"{record.filename}:{record.lineno}")
        else:
            Output().write(line.encode())


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        log.critical("process died", exc_info=(kind, error, traceback))


def _log_death(death: threading.ExceptHookArgs) -> None:
    if death.exc_value is not None:
        found = (death.exc_type, death.exc_value, death.exc_traceback)
        log.critical("thread died", thread=death.thread and death.thread.name, exc_info=found)
