"""Traces: one from a request through its job to its webhook. Off unless TRACING is true.

Off, OpenTelemetry need not be installed, and what is asked here costs a comparison. A trace is carried from process to
process as text, W3C's `traceparent`: with the job, whose row has it, and to the receiver of a webhook. What the sampler
left out is carried nowhere, and costs as little from there on.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from settings import Settings, SettingsError

if TYPE_CHECKING:
    from spans import Spans

ERROR_TYPE = "error.type"  # The attribute of a span that failed, by OpenTelemetry's conventions.
END_SECONDS = 5.0  # What a collector that does not answer may hold up the end of a process.

Tell: TypeAlias = Callable[[Mapping[str, Any]], None]  # Adds attributes to a span.
Tracing: TypeAlias = AbstractContextManager[Tell]
SpanKind: TypeAlias = Literal["client", "producer"]

NOTHING: Tracing = nullcontext(lambda _: None)
_spans: "Spans | None" = None


class Carrier(Protocol):
    """One of many that are worked on together, such as a job."""

    @property
    def kind(self) -> str: ...
    @property
    def trace_context(self) -> str | None: ...


@contextmanager
def traced(config: Settings, service: str) -> Iterator[None]:
    """Trace what happens in the block, if TRACING says so.

    Raises:
        SettingsError: it does, and OpenTelemetry is not installed.

    """
    if config.tracing:
        begin(service)
    try:
        yield
    finally:
        end()


def begin(service: str, **options: Any) -> None:
    """Trace what this process does from now on; `options` are those of `spans.Spans`.

    Raises:
        SettingsError: OpenTelemetry is not installed.

    """
    global _spans  # noqa: PLW0603 - a process is traced or is not
    _spans = loaded()(service, **options)


def loaded() -> "type[Spans]":
    """Return what traces are made with.

    Raises:
        SettingsError: OpenTelemetry is not installed.

    """
    try:
        from spans import Spans  # noqa: PLC0415 - imports OpenTelemetry, which may be missing
    except ImportError as error:
        raise SettingsError("TRACING needs OpenTelemetry: install requirements-tracing.lock") from error
    return Spans


def end() -> None:
    """Send what is left, and trace no more."""
    global _spans  # noqa: PLW0603 - as above
    if _spans is not None:
        closing = threading.Thread(target=_spans.close, name="end of traces", daemon=True)
        _spans = None
        closing.start()
        closing.join(END_SECONDS)


def is_on() -> bool:
    return _spans is not None


def context() -> str | None:
    """Return the `traceparent` of what is under way, if it is traced."""
    return None if _spans is None else _spans.context()


def ids() -> dict[str, str]:
    """Return what a line of the log is found by in the trace it belongs to, if it does."""
    return {} if _spans is None else _spans.ids()


def request(method: str, traceparent: str | None) -> Tracing:
    """Trace a request. A `traceparent` that is malformed counts as none: a new trace begins."""
    return NOTHING if _spans is None else _spans.request(method, traceparent)


def step(name: str, trace_context: str | None, kind: SpanKind, attributes: Mapping[str, Any]) -> Tracing:
    """Continue a trace, if there is one."""
    if _spans is None or trace_context is None:
        return NOTHING
    return _spans.step(name, trace_context, kind, attributes)


def batch(name: str, carriers: Iterable[Carrier], attributes: Mapping[str, Any]) -> Tracing:
    """Trace what is done for many together: in the trace of the first that has one, linked with those of the others."""
    return NOTHING if _spans is None else _spans.batch(name, carriers, attributes)
