import time
from collections.abc import Iterator
from contextlib import ExitStack
from uuid import UUID

import pytest
import redis
from redis.client import PubSub

import settings as environment
from domain.jobs import Queue
from tests import committed
from tests.absent import answering
from tests.committed import heard, listening
from workers import batches, notices

IDS = [UUID(int=1), UUID(int=2)]


@pytest.fixture
def waiter(broker: redis.Redis) -> Iterator[PubSub]:
    with listening(broker) as waiter:
        yield waiter


def test_a_notice_is_the_list_of_jobs_that_ended(waiter: PubSub) -> None:
    notices.publish(IDS)
    assert heard(waiter) == IDS


def test_nothing_is_said_when_nothing_ended(waiter: PubSub) -> None:
    notices.publish([])
    assert heard(waiter, seconds=0.1) == []


def test_whoever_waits_hears_of_a_settled_batch_when_it_can_be_read(waiter: PubSub, url: str) -> None:
    ids = committed.queued(url, committed.deposit_of(UUID(int=0), 1_00), committed.deposit_of(UUID(int=0), 1_00))
    batches.settle_next(Queue.TRANSACTIONS)
    assert heard(waiter) == ids
    assert all(job.is_finished for job in committed.jobs(url, ids))


@pytest.mark.usefixtures("outage")
def test_without_redis_publishing_raises_nothing_and_takes_no_longer_than_its_time() -> None:
    began_at = time.monotonic()
    notices.publish(IDS)
    assert time.monotonic() - began_at < 2 * notices.TIMEOUT_SECONDS


@pytest.mark.usefixtures("broker")
def test_whoever_answers_in_the_place_of_redis_publishing_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(b"+PONG\r\n") as url:
        monkeypatch.setenv("REDIS_URL", url)
        environment.settings.cache_clear()
        notices.publish(IDS)


@pytest.mark.usefixtures("frozen")
def test_a_redis_that_hangs_holds_nobody_up_for_long() -> None:
    began_at = time.monotonic()
    notices.publish(IDS)
    assert time.monotonic() - began_at < 3 * notices.TIMEOUT_SECONDS


def test_when_redis_is_back_the_next_notice_is_heard(outage: ExitStack, broker: redis.Redis) -> None:
    notices.publish(IDS)
    outage.close()
    with listening(broker) as waiter:
        notices.publish(IDS)
        assert heard(waiter) == IDS
