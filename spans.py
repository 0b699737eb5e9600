"""Spans, made and sent by OpenTelemetry's SDK: imported where traces are on.

The SDK reads the standard variables itself: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_BSP_MAX_QUEUE_SIZE
and others. A span has ids, counts and routes; no body, no value of a statement and no text of an error.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import db.statements
from process import version
from tracing import ERROR_TYPE, NOTHING, Carrier, Tell, Tracing

LINKS_MAX = 10_000  # The largest BATCH_MAX. The SDK's own limit of 128 would cut a batch's links.
TRACEPARENT = "traceparent"

_propagator = TraceContextTextMapPropagator()


class Spans:
    """The spans of this process."""

    def __init__(self, service: str, *, processor: SpanProcessor | None = None, sampler: Sampler | None = None) -> None:
        """Send spans by OTLP over HTTP, or give them to `processor`; `sampler` replaces OTEL_TRACES_SAMPLER."""
        self._provider = TracerProvider(
            sampler=sampler,
            resource=_resource(service),
            span_limits=SpanLimits(max_links=LINKS_MAX),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("tekana", version())
        db.statements.listen(self._statement)

    def close(self) -> None:
        """Send what is left; a collector that does not answer takes until OTEL_EXPORTER_OTLP_TIMEOUT."""
        db.statements.ignore(self._statement)
        self._provider.shutdown()

    def context(self) -> str | None:
        if not trace.get_current_span().get_span_context().trace_flags.sampled:
            return None
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        return carrier.get(TRACEPARENT)

    def ids(self) -> dict[str, str]:
        current = trace.get_current_span().get_span_context()
        if not current.trace_flags.sampled:
            return {}
        return {"trace_id": trace.format_trace_id(current.trace_id), "span_id": trace.format_span_id(current.span_id)}

    def request(self, method: str, traceparent: str | None) -> Tracing:
        """Return nothing for what the sampler leaves out, as most requests are: it is to cost little."""
        parent = Context() if traceparent is None else _parsed(traceparent)
        span = self._tracer.start_span(method, parent, SpanKind.SERVER)
        return self._sampled(method, span) if span.is_recording() else NOTHING

    @contextmanager
    def _sampled(self, method: str, span: Span) -> Iterator[Tell]:
        def tell(attributes: Mapping[str, Any]) -> None:
            _add(span, attributes)
            span.update_name(f"{method} {attributes['http.route']}")
            if attributes["http.response.status_code"] >= 500:
                span.set_status(StatusCode.ERROR)

        with _current(span, {"http.request.method": method}):
            yield tell

    @contextmanager
    def step(self, name: str, trace_context: str, kind: str, attributes: Mapping[str, Any]) -> Iterator[Tell]:
        span = self._tracer.start_span(name, _parsed(trace_context), SpanKind[kind.upper()])
        with _current(span, attributes):
            yield lambda more: _add(span, more)

    @contextmanager
    def batch(self, name: str, carriers: Iterable[Carrier], attributes: Mapping[str, Any]) -> Iterator[Tell]:
        """Each of the others has a short span of its own, so that every trace tells the whole story."""
        found = [(one.kind, _parsed(one.trace_context)) for one in carriers if one.trace_context is not None]
        if not found:
            yield lambda _: None
            return
        links = [_link(context) for _, context in found]
        span = self._tracer.start_span(name, found[0][1], links=links)
        with _current(span, attributes):
            back = [Link(span.get_span_context())]
            others = [self._tracer.start_span(f"{name} {kind}", context, links=back) for kind, context in found[1:]]
            try:
                yield lambda more: _add(span, more)
            finally:
                for other in others:
                    other.end()

    def _statement(self, summary: str, text: str) -> db.statements.End | None:
        """Begin the span of a statement, if what it is for is traced."""
        if not trace.get_current_span().is_recording():
            return None
        attributes = {"db.system.name": "postgresql", "db.query.summary": summary, "db.query.text": text}
        span = self._tracer.start_span(summary, kind=SpanKind.CLIENT, attributes=attributes)

        def finish(error: BaseException | None) -> None:
            if error is not None:
                _fail(span, error)
            span.end()

        return finish


@contextmanager
def _current(span: Span, attributes: Mapping[str, Any]) -> Iterator[None]:
    """Let the span be what is under way. An error is named by its class; its text may quote anything."""
    _add(span, attributes)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except BaseException as error:
            _fail(span, error)
            raise


def _resource(service: str) -> Resource:
    """Name the process as the table of processes does, unless OTEL_SERVICE_NAME does it otherwise."""
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": f"tekana-{service}"}
    return Resource.create(named | {"service.version": version()})


def _parsed(traceparent: str) -> Context:
    return _propagator.extract({TRACEPARENT: traceparent}, Context())


def _link(context: Context) -> Link:
    return Link(trace.get_current_span(context).get_span_context())


def _add(span: Span, attributes: Mapping[str, Any]) -> None:
    """Add what is there; ids are written as text. Whatever has an `error.type` has failed."""
    for name, value in attributes.items():
        if value is not None:
            span.set_attribute(name, value if isinstance(value, int | float | str) else str(value))
    if attributes.get(ERROR_TYPE) is not None:
        span.set_status(StatusCode.ERROR)


def _fail(span: Span, error: BaseException) -> None:
    _add(span, {ERROR_TYPE: type(error).__qualname__})
