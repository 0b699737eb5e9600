import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
import redis

from domain.jobs import FINISHED_CHANNEL, Queue
from local.stack import Stack
from tests import committed
from workers import batches, notices

IDS = [UUID(int=1), UUID(int=2)]


@pytest.fixture
def waiter(broker: redis.Redis) -> Iterator[Any]:
    with broker.pubsub(ignore_subscribe_messages=True) as waiter:
        waiter.subscribe(FINISHED_CHANNEL)
        waiter.get_message(timeout=1)
        yield waiter


def test_a_notice_is_the_list_of_jobs_that_ended(waiter: Any) -> None:
    notices.publish(IDS)
    assert heard(waiter) == [str(job_id) for job_id in IDS]


def test_nothing_is_said_when_nothing_ended(waiter: Any) -> None:
    notices.publish([])
    assert waiter.get_message(timeout=0.1) is None


def test_whoever_waits_hears_of_a_settled_batch_when_it_can_be_read(waiter: Any, url: str) -> None:
    ids = committed.queued(url, committed.deposit_of(UUID(int=0), 1_00), committed.deposit_of(UUID(int=0), 1_00))
    batches.settle_next(Queue.TRANSACTIONS)
    assert heard(waiter) == [str(job_id) for job_id in ids]
    assert all(job.is_finished for job in committed.jobs(url, ids))


def test_without_redis_publishing_raises_nothing_and_takes_no_longer_than_its_time(without_redis: Stack) -> None:
    assert without_redis
    began_at = time.monotonic()
    notices.publish(IDS)
    assert time.monotonic() - began_at < 2 * notices.TIMEOUT_SECONDS


def test_when_redis_is_back_the_next_notice_is_heard(without_redis: Stack, broker: redis.Redis) -> None:
    notices.publish(IDS)
    without_redis.release("redis")
    with broker.pubsub(ignore_subscribe_messages=True) as waiter:
        waiter.subscribe(FINISHED_CHANNEL)
        waiter.get_message(timeout=1)
        notices.publish(IDS)
        assert heard(waiter) == [str(job_id) for job_id in IDS]


def heard(waiter: Any) -> list[str]:
    message = waiter.get_message(timeout=2)
    assert message is not None
    return msgspec.json.decode(message["data"], type=list[str])
