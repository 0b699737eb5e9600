"""Whatever somebody writes to a queue in Redis, or Redis does not hear: who consumes goes on, and takes what comes."""

import base64
import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from kombu import Queue
from kombu.transport import redis as theirs
from sqlalchemy import make_url

from local.stack import Stack
from tests.flows.links import Links
from workers.broker import Broker, configuration
from workers.channels import CAREFUL, Channel, SentinelChannel

QUEUE = "channels"
SILENCE_SECONDS = 1.0  # A tenth of it is what a Redis that works takes at times, on a machine where all tests run.
PROPERTIES: dict[str, Any] = {
    "delivery_tag": "tag",
    "body_encoding": "base64",
    "delivery_info": {"exchange": "", "routing_key": QUEUE},
}
GOOD: dict[str, Any] = {
    "body": base64.b64encode(b"[]").decode(),
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {},
    "properties": PROPERTIES,
}
SECOND = GOOD | {"properties": PROPERTIES | {"delivery_tag": "another"}}
UNREADABLE = {
    "nothing": b"",
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "null": b"null",
    "an empty object": b"{}",
    "no delivery tag": msgspec.json.encode(GOOD | {"properties": {}}),
    "properties that are a list": msgspec.json.encode(GOOD | {"properties": []}),
    "a body that is a number": msgspec.json.encode(GOOD | {"body": 7}),
}


@pytest.fixture
def broker(servers: Stack) -> Iterator[Broker]:
    options = configuration(servers.redis_url)["broker_transport_options"]
    with Broker(servers.redis_url, transport_options=options) as broker:
        yield broker
        _client(broker).delete(QUEUE, "unacked", "unacked_index")


@pytest.mark.parametrize("message", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_thrown_away(broker: Broker, message: bytes) -> None:
    taken: list[Any] = []

    def handle(found: Any) -> None:
        taken.append(found.payload)
        found.ack()

    with broker.Consumer(Queue(QUEUE), on_message=handle, prefetch_count=1):
        _client(broker).lpush(QUEUE, message, msgspec.json.encode(GOOD))
        _drain(broker, taken, 1)
    assert taken == [[]]
    assert _client(broker).hlen("unacked") == 0


def test_what_nobody_can_handle_is_thrown_away_and_does_not_count_as_work(broker: Broker) -> None:
    taken: list[Any] = []

    def handle(found: Any) -> None:
        taken.append(found)
        if len(taken) == 1:
            raise KeyError("of another time")
        found.ack()

    with broker.Consumer(Queue(QUEUE), on_message=handle, prefetch_count=1):
        _client(broker).lpush(QUEUE, msgspec.json.encode(GOOD), msgspec.json.encode(SECOND))
        _drain(broker, taken, 2)
    assert _client(broker).hlen("unacked") == 0


@pytest.mark.parametrize("end", ["ack_log_error", "reject_log_error"])
def test_what_redis_was_not_told_does_not_count_as_work_for_ever(servers: Stack, end: str) -> None:
    """As Celery, it logs that, and the connection by which messages come lives on."""
    taken: list[Any] = []
    port = make_url(servers.redis_url).port
    assert port is not None
    options = configuration(servers.redis_url)["broker_transport_options"] | {"socket_timeout": SILENCE_SECONDS}
    with Links() as links:
        link = links.open(port)
        url = make_url(servers.redis_url).set(port=link.port).render_as_string(hide_password=False)
        with (
            Broker(url, transport_options=options) as broker,
            broker.Consumer(Queue(QUEUE), on_message=taken.append, prefetch_count=1),
        ):
            _client(broker).lpush(QUEUE, msgspec.json.encode(GOOD), msgspec.json.encode(SECOND))
            _drain(broker, taken, 1)
            with link.silent():
                getattr(taken[0], end)(logging.getLogger(__name__), broker.connection_errors)
            _drain(broker, taken, 2)
            taken[1].ack()


@pytest.mark.parametrize("error", [AttributeError("no connection"), ValueError("no answer of Redis")])
def test_what_is_wrong_with_the_connection_gets_out(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def parse_response(*_: object, **__: object) -> None:
        raise error

    read = broker.default_channel._brpop_read  # type: ignore[attr-defined] # noqa: SLF001 - kombu's hub calls it
    with monkeypatch.context() as changed:
        changed.setattr(_client(broker), "parse_response", parse_response)
        with pytest.raises(broker.connection_errors):
            read()


@pytest.mark.parametrize(
    ("theirs_", "channel"), [(theirs.Transport, Channel), (theirs.SentinelTransport, SentinelChannel)]
)
def test_each_way_to_redis_is_careful(theirs_: type, channel: type) -> None:
    assert CAREFUL[theirs_].Channel is channel  # type: ignore[attr-defined] # kombu's word for it


def _client(broker: Broker) -> Any:
    return broker.default_channel.client  # type: ignore[attr-defined] # of channels to Redis


def _drain(broker: Broker, taken: list[Any], count: int) -> None:
    """Let events come until so many messages were taken; a silent broker is an error."""
    while len(taken) < count:
        try:
            broker.drain_events(timeout=5)
        except TimeoutError:
            pytest.fail("what came after it was not taken")
