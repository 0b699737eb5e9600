"""Logs: one line an event, without what callers sent.

structlog's default prints tracebacks with local variables, and a local variable may be a password.
"""

import re

import structlog
from structlog.typing import EventDict, WrappedLogger

# PostgreSQL's DETAIL and CONTEXT quote the row: `Key (email)=(...)`, `Failing row contains (...)`.
QUOTED_ROW = re.compile(r"^(?:DETAIL|CONTEXT):.*\n?", re.MULTILINE)


def configure(mode: str) -> None:
    """Log JSON in production, and lines for people elsewhere; tracebacks are plain in both."""
    renderer = (
        structlog.processors.JSONRenderer()
        if mode == "production"
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            hide_rows,
            renderer,
        ],
        cache_logger_on_first_use=False,
    )


def hide_rows(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Cut the rows that PostgreSQL quotes out of an event's texts."""
    return {name: QUOTED_ROW.sub("", value) if isinstance(value, str) else value for name, value in event.items()}
