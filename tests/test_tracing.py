"""Traces: one from a request to its webhook, links where many are worked on together, and nothing where it is off.

API, worker and courier run in this process, so that an exporter in memory has the spans of all.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import httpx2
import msgspec
import pytest
import structlog
import uvicorn
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, Sampler
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError
from uuid_utils.compat import uuid7

import db.keys
import db.webhooks
import logs
import tracing
from api.app import create_app
from api.intake import Intake
from api.open_jobs import OpenJobs
from db.async_engine import AsyncTransactions
from db.engine import transaction
from db.keys import NewKey
from db.webhooks import NewEndpoint
from domain.access import KEY_PREFIX, digest
from domain.jobs import Queue, Submission
from domain.signatures import new_secret
from local import ports
from sealing import Sealer
from settings import Settings
from tests import committed
from tests.flows.receivers import Receiver, Receivers, saying, wait_until
from tests.made import submission
from tests.workers.conftest import broker, url
from workers import batches
from workers.bell import Bell
from workers.deliveries import Office

__all__ = ["broker", "url"]  # Fixtures.

ROOT = Path(__file__).parents[1]
TOKEN = f"{KEY_PREFIX}of-a-test"
SECRET = "planted-in-a-transfer"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"  # W3C's own example.
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-00"
SETTLE_SECONDS = 5.0

Spans = Callable[[], list[ReadableSpan]]
Trace = Callable[[Sampler], Spans]


@pytest.fixture
def trace() -> Iterator[Trace]:
    """Trace this process by a sampler; what is returned shows the spans that have ended."""

    def begin(sampler: Sampler) -> Spans:
        exporter = InMemorySpanExporter()
        tracing.begin("trial", processor=SimpleSpanProcessor(exporter), sampler=sampler)
        return lambda: list(exporter.get_finished_spans())

    yield begin
    tracing.end()


@pytest.fixture
def spans(trace: Trace) -> Spans:
    return trace(DEFAULT_ON)


@contextlib.contextmanager
def serving() -> Iterator[httpx2.Client]:
    """Serve the API from a thread of this process; yield an operator's client."""
    port = ports.free()
    server = uvicorn.Server(uvicorn.Config(create_app(), host=ports.HOST, port=port, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run, name="api", daemon=True)
    thread.start()
    assert wait_until(lambda: server.started)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx2.Client(base_url=f"http://{ports.HOST}:{port}", headers=headers, trust_env=False) as client:
        yield client
    server.should_exit = True
    thread.join()


@pytest.fixture
def operator(url: str) -> UUID:
    """The API key of TOKEN."""
    key = NewKey(id=uuid7(), name="test", digest=digest(TOKEN), scopes=["*"])
    with transaction(url) as tx:
        db.keys.insert(tx, key)
    return key.id


@pytest.fixture
def receiver(url: str, fresh: Settings, operator: UUID) -> Iterator[Receiver]:
    """Somebody who hears of all deposits."""
    with Receivers() as receivers:
        receiver = receivers.open()
        endpoint = NewEndpoint(
            id=uuid7(),
            key_id=operator,
            url=receiver.url,
            event_types=["deposit.*"],
            description=None,
            enabled=True,
            disabled_reason=None,
        )
        sealed = Sealer(fresh.webhook_keys, "WEBHOOK_KEYS").seal(new_secret(bytes(range(32))))
        with transaction(url) as tx:
            db.webhooks.insert(tx, endpoint, sealed, 20)
        yield receiver


def deposit(api: httpx2.Client, wallet_id: UUID, *traceparents: str) -> httpx2.Response:
    headers = [("Idempotency-Key", str(uuid7())), *(("traceparent", one) for one in traceparents)]
    body = {"wallet_id": str(wallet_id), "amount": 1_00, "currency": "RWF", "description": SECRET}
    return api.post("/v1/deposits", json=body, headers=headers)


def deposit_and_tell(url: str, receiver: Receiver, *traceparents: str) -> None:
    """Let a deposit go all the way: request, batch, webhook."""
    [wallet_id] = committed.opened(url, 0)
    with serving() as api:
        assert deposit(api, wallet_id, *traceparents).status_code == 202
    batches.drain(Queue.TRANSACTIONS)
    with contextlib.closing(Office(_settings())) as office:
        office.settle(SETTLE_SECONDS)
        assert wait_until(lambda: len(receiver.messages) == 1)


def _settings() -> Settings:
    import settings  # noqa: PLC0415 - as the fixtures have changed them by now

    return settings.settings()


def trace_of(span: ReadableSpan) -> str:
    return format_trace_id(span.context.trace_id)


def named(spans: list[ReadableSpan], name: str) -> ReadableSpan:
    [found] = [span for span in spans if span.name == name]
    return found


def contexts(url: str) -> list[str | None]:
    return [row[0] for row in committed.execute(url, "SELECT trace_context FROM jobs ORDER BY id")]


def test_one_trace_leads_from_the_request_to_the_attempt_of_its_webhook(
    url: str, receiver: Receiver, spans: Spans
) -> None:
    deposit_and_tell(url, receiver, TRACEPARENT)

    own = [span for span in spans() if trace_of(span) == TRACE_ID]
    assert {span.name for span in own} >= {
        "POST /v1/deposits",
        "accept",
        "INSERT jobs",
        "ring",
        "settle",
        "INSERT transactions",
        "UPDATE jobs",
        "webhook attempt",
    }
    request, attempt = named(own, "POST /v1/deposits"), named(own, "webhook attempt")
    by_id = {span.context.span_id: span.name for span in own}
    parents = {span.name: by_id.get(span.parent.span_id) for span in own if span.parent is not None}
    assert parents["INSERT jobs"] == parents["ring"] == "accept"
    assert parents["INSERT transactions"] == "settle"
    assert parents["accept"] == parents["settle"] == parents["webhook attempt"] == request.name
    sent = f"00-{TRACE_ID}-{format_span_id(attempt.context.span_id)}-"
    assert receiver.messages[0].headers["traceparent"].startswith(sent)


def test_an_attempt_that_fails_is_marked_by_what_was_answered(url: str, receiver: Receiver, spans: Spans) -> None:
    receiver.answer = saying("503 Busy")

    deposit_and_tell(url, receiver, TRACEPARENT)

    attempt = next(span for span in spans() if span.name == "webhook attempt")
    assert attempt.attributes is not None
    assert (attempt.attributes["http.response.status_code"], attempt.attributes["error.type"]) == (503, "503")
    assert attempt.status.status_code is StatusCode.ERROR


def test_a_request_without_a_trace_begins_one(url: str, receiver: Receiver, spans: Spans) -> None:
    deposit_and_tell(url, receiver)

    request = named(spans(), "POST /v1/deposits")
    assert request.parent is None
    assert trace_of(named(spans(), "webhook attempt")) == trace_of(request)


@pytest.mark.parametrize(
    "given",
    [
        ("",),
        ("00-0",),
        (TRACEPARENT.upper(),),
        (f"00-{'0' * 32}-b7ad6b7169203331-01",),
        (f"00-{TRACE_ID}-{'0' * 16}-01",),
        (f"ff-{TRACE_ID}-b7ad6b7169203331-01",),
        (f"{TRACEPARENT}-more",),
        (TRACEPARENT, TRACEPARENT),
    ],
)
@pytest.mark.usefixtures("operator")
def test_a_traceparent_that_is_none_begins_a_new_trace(url: str, spans: Spans, given: tuple[str, ...]) -> None:
    with serving() as api:
        assert deposit(api, UUID(int=0), *given).status_code == 202

    request = named(spans(), "POST /v1/deposits")
    assert request.parent is None
    assert trace_of(request) != TRACE_ID
    assert url


@pytest.mark.parametrize(
    ("sampler", "given"), [(ALWAYS_OFF, ()), (ALWAYS_OFF, (TRACEPARENT,)), (DEFAULT_ON, (UNSAMPLED,))]
)
def test_what_the_sampler_leaves_out_is_stored_and_sent_nowhere(
    url: str, receiver: Receiver, trace: Trace, *, sampler: Sampler, given: tuple[str, ...]
) -> None:
    spans = trace(sampler)

    deposit_and_tell(url, receiver, *given)

    assert spans() == []
    assert set(contexts(url)) == {None}
    assert "traceparent" not in receiver.messages[0].headers


def test_a_batch_is_linked_to_all_of_its_jobs_and_they_to_it(url: str, spans: Spans) -> None:
    [wallet_id] = committed.opened(url, 0)
    many = traced_deposits(wallet_id, 300)  # More than the 128 links that are OpenTelemetry's own limit.
    committed.queued(url, *many, committed.deposit_of(wallet_id, 1_00))

    assert batches.drain(Queue.TRANSACTIONS)["succeeded"] == 301

    batch = named(spans(), "settle")
    traces = [one.trace_context.split("-")[1] for one in many if one.trace_context]
    assert [format_trace_id(link.context.trace_id) for link in batch.links] == traces
    assert trace_of(batch) == traces[0]
    back = [span for span in spans() if span.name == "settle deposit.create"]
    assert [trace_of(span) for span in back] == traces[1:]
    assert {link.context.span_id for span in back for link in span.links} == {batch.context.span_id}


def test_a_flush_is_linked_to_all_of_its_requests(fresh: Settings, spans: Spans) -> None:
    many = traced_deposits(UUID(int=0), 3)

    asyncio.run(accept(fresh.database_api_url, many))

    flush = named(spans(), "accept")
    traces = {one.trace_context.split("-")[1] for one in many if one.trace_context}
    assert {format_trace_id(link.context.trace_id) for link in flush.links} == traces
    assert set(contexts(fresh.database_url)) == {one.trace_context for one in many}


def test_a_flush_that_fails_is_marked_by_the_class_of_its_error(fresh: Settings, spans: Spans) -> None:
    nowhere = make_url(fresh.database_api_url).set(port=1).render_as_string(hide_password=False)

    with pytest.raises(OperationalError):
        asyncio.run(accept(nowhere, traced_deposits(UUID(int=0), 1)))

    flush = named(spans(), "accept")
    assert (flush.status.status_code, flush.attributes and flush.attributes["error.type"]) == (
        StatusCode.ERROR,
        "OperationalError",
    )


async def accept(database_url: str, many: list[Submission]) -> None:
    database, bell = AsyncTransactions(database_url, connections=1), Bell()
    intake = Intake(database, bell, OpenJobs(0))
    try:
        await asyncio.gather(*(intake.accept(one) for one in many))
    finally:
        await intake.stop()
        await database.close()
        await asyncio.to_thread(bell.stop)


def traced_deposits(wallet_id: UUID, count: int) -> list[Submission]:
    return [
        msgspec.structs.replace(
            committed.deposit_of(wallet_id, 1_00), trace_context=f"00-{number:032x}-{number:016x}-01"
        )
        for number in range(1, count + 1)
    ]


def test_a_span_says_nothing_of_what_callers_sent(url: str, receiver: Receiver, spans: Spans) -> None:
    deposit_and_tell(url, receiver, TRACEPARENT)

    said = "".join(span.to_json() for span in spans())
    assert '"http.route": "/v1/deposits"' in said
    assert [word for word in (SECRET, TOKEN, receiver.url, "1_00") if word in said] == []


def test_a_batch_that_fails_is_marked_by_the_class_of_its_error_only(url: str, spans: Spans) -> None:
    poison = msgspec.structs.replace(submission(payload={"amount": SECRET}), trace_context=TRACEPARENT)
    committed.queued(url, poison)

    batches.settle_next(Queue.TRANSACTIONS)

    batch = named(spans(), "settle")
    assert (batch.status.status_code, batch.attributes and batch.attributes["error.type"]) == (
        StatusCode.ERROR,
        "ValidationError",
    )
    assert SECRET not in batch.to_json()


@pytest.mark.usefixtures("operator")
def test_probes_are_not_traced_and_an_unknown_path_is_not_repeated(url: str, spans: Spans) -> None:
    with serving() as api:
        api.get("/health/live")
        api.get(f"/v1/{SECRET}?{SECRET}")

    assert [span.name for span in spans()] == ["GET unknown"]
    assert SECRET not in spans()[0].to_json()
    assert url


def test_a_line_of_the_log_is_found_in_its_trace(spans: Spans) -> None:
    with structlog.testing.capture_logs([logs.add_trace]) as lines:
        with tracing.step("trial", TRACEPARENT, "client", {}):
            structlog.get_logger().info("inside")
        structlog.get_logger().info("outside")

    [span] = spans()
    inside, outside = lines
    assert (inside["trace_id"], inside["span_id"]) == (TRACE_ID, format_span_id(span.context.span_id))
    assert "trace_id" not in outside


def test_where_it_is_off_nothing_is_stored_and_nothing_sent(url: str, receiver: Receiver) -> None:
    deposit_and_tell(url, receiver, TRACEPARENT)

    assert not tracing.is_on()
    assert set(contexts(url)) == {None}
    assert "traceparent" not in receiver.messages[0].headers
