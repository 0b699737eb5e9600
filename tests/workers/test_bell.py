"""Ringing is a hint: one message announces many jobs, carries no data, and its failure stops nobody."""

import base64
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import msgspec
import pytest
import redis

from domain.jobs import Queue
from workers import bell, metrics
from workers.bell import Bell

FIRST, SECOND = UUID(int=1), UUID(int=2)
MONEY = Queue.TRANSACTIONS
MOMENT_SECONDS_MAX = 10.0  # For what takes milliseconds, and a minute or more when it waits for Redis.


@pytest.fixture
def rung(broker: redis.Redis) -> Iterator[Bell]:
    assert broker
    one = Bell()
    yield one
    one.stop()


def test_a_message_says_how_many_jobs_there_are_and_which_is_the_first_and_nothing_else(broker: redis.Redis) -> None:
    assert bell.announce(MONEY, 3, FIRST)
    [message] = messages(broker)
    arguments, keywords, _ = msgspec.json.decode(base64.b64decode(message["body"]))
    assert (arguments, keywords) == ([3, str(FIRST)], {})
    assert (message["headers"]["task"], message["content-type"]) == ("transactions.settle", "application/json")


@pytest.mark.parametrize("queue", [queue for queue in Queue if queue is not Queue.MAINTENANCE])
def test_each_queue_is_rung_by_itself(broker: redis.Redis, queue: Queue) -> None:
    bell.announce(queue, 1, FIRST)
    assert [one for one in Queue if broker.llen(one)] == [queue]


def test_a_message_that_waits_announces_the_later_jobs_as_well(broker: redis.Redis) -> None:
    assert [bell.announce(MONEY, 1, job_id) for job_id in (FIRST, SECOND)] == [True, True]
    assert len(messages(broker)) == 1
    broker.delete(MONEY)  # A worker took it.
    bell.announce(MONEY, 1, SECOND)
    assert len(messages(broker)) == 1


def test_a_ring_needs_nothing_that_a_flush_of_redis_takes_away(broker: redis.Redis) -> None:
    bell.announce(MONEY, 1, FIRST)
    broker.flushall()
    bell.announce(MONEY, 1, FIRST)
    assert broker.keys() == [MONEY]


def test_a_ring_reaches_the_queue_within_a_moment(broker: redis.Redis, rung: Bell) -> None:
    rung.ring(MONEY, 1, FIRST)
    eventually(lambda: broker.llen(MONEY) == 1)


def test_rings_that_come_together_are_one_message_with_all_their_jobs(
    broker: redis.Redis, rung: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "PAUSE_SECONDS_MAX", 0.5)  # The later rings must come meanwhile, on a busy machine too.
    rung.ring(MONEY, 1_000, FIRST)  # The bell rests after so many.
    eventually(lambda: broker.llen(MONEY) == 1)
    broker.delete(MONEY)
    for _ in range(10):
        rung.ring(MONEY, 5, SECOND)
    eventually(lambda: broker.llen(MONEY) == 1)
    arguments, *_ = msgspec.json.decode(base64.b64decode(messages(broker)[0]["body"]))
    assert arguments == [50, str(SECOND)]


@pytest.mark.usefixtures("outage")
def test_without_redis_an_announcement_says_so_soon_and_raises_nothing() -> None:
    failed = value(metrics.rings().failed)
    began_at = time.monotonic()
    assert not any(bell.announce(MONEY, 1, FIRST) for _ in range(10))  # Of which a retry would take seconds each.
    assert time.monotonic() - began_at < MOMENT_SECONDS_MAX
    assert value(metrics.rings().failed) == failed + 10


@pytest.mark.usefixtures("stranger")
def test_whatever_answers_in_the_place_of_redis_an_announcement_raises_nothing() -> None:
    failed = value(metrics.rings().failed)
    assert not bell.announce(MONEY, 1, FIRST)
    assert bell.waiting(MONEY) is None
    assert value(metrics.rings().failed) == failed + 1


@pytest.mark.usefixtures("outage")
def test_without_redis_ringing_takes_no_time(rung: Bell) -> None:
    began_at = time.monotonic()
    for _ in range(50_000):  # To be refused takes a millisecond.
        rung.ring(MONEY, 1, FIRST)
    assert time.monotonic() - began_at < MOMENT_SECONDS_MAX


def test_when_redis_is_back_the_next_ring_is_heard(outage: ExitStack, broker: redis.Redis, rung: Bell) -> None:
    rung.ring(MONEY, 1, FIRST)
    failed = value(metrics.rings().failed)
    eventually(lambda: value(metrics.rings().failed) > failed - 1)
    outage.close()
    broker.flushall()

    def rings() -> bool:
        rung.ring(MONEY, 1, SECOND)
        return broker.llen(MONEY) == 1

    eventually(rings)


def test_a_redis_that_hangs_does_not_hang_whoever_rings(frozen: int, broker: redis.Redis, rung: Bell) -> None:
    began_at = time.monotonic()
    for _ in range(1_000):
        rung.ring(MONEY, 1, FIRST)
    assert time.monotonic() - began_at < MOMENT_SECONDS_MAX
    os.kill(frozen, signal.SIGCONT)
    eventually(lambda: broker.llen(MONEY) == 1)


def messages(broker: redis.Redis) -> list[dict[str, Any]]:
    return [msgspec.json.decode(message) for message in broker.lrange(MONEY, 0, -1)]


def value(counter: Any) -> float:
    [metric] = counter.collect()
    return float(next(sample.value for sample in metric.samples if sample.name.endswith("_total")))


def eventually(is_so: Callable[[], bool], seconds_max: float = 30) -> None:
    deadline = time.monotonic() + seconds_max
    while not is_so():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)
