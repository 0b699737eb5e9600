"""Waiting for jobs: told at once by a notice, and within seconds without one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import msgspec
import pytest
import redis

import api.waiters
import db.jobs
from api.waiters import POLL_SECONDS, POLL_SECONDS_WITH_NOTICES, Waiters
from db.async_engine import AsyncTransactions
from db.engine import transaction
from domain.jobs import FINISHED_CHANNEL, Job, JobState, succeeded
from local import ports
from settings import Settings
from tests.committed import queued
from tests.made import submission

SLACK_SECONDS = 0.7
LOOK_SECONDS_MAX = POLL_SECONDS_WITH_NOTICES + SLACK_SECONDS
SETTLED_SECONDS = POLL_SECONDS + 0.2  # Then it listens, and its next look is seconds away.


def finish(config: Settings, job_id: UUID, notice: bytes | None = None) -> None:
    """End a job as a worker does, with another notice or (empty) none."""
    with transaction(config.database_url) as tx:
        db.jobs.finish(tx, [succeeded(job_id)])
    data = msgspec.json.encode([job_id]) if notice is None else notice
    if data:
        with redis.Redis.from_url(config.redis_url) as broker:
            broker.publish(FINISHED_CHANNEL, data)


def waited(
    config: Settings, use: Callable[[Waiters], Awaitable[list[Job | None]]], redis_url: str = ""
) -> list[JobState]:
    """Run `use` with waiters; return the states of the jobs that it waited for."""

    async def run() -> list[Job | None]:
        database = AsyncTransactions(config.database_api_url, connections=2)
        waiters = Waiters(database, redis_url or config.redis_url)
        try:
            return await use(waiters)
        finally:
            await waiters.stop()
            await database.close()

    return [one.state for one in asyncio.run(run()) if one is not None]


def seconds_to_hear(config: Settings, job_id: UUID, notice: bytes | None) -> float:
    """Wait for a job that ends while somebody listens; return how long after its end that was heard."""
    took = []

    async def use(waiters: Waiters) -> list[Job | None]:
        waiting = asyncio.ensure_future(waiters.wait(job_id, 10))
        await asyncio.sleep(SETTLED_SECONDS)
        await asyncio.to_thread(finish, config, job_id, notice)
        started = time.monotonic()
        result = await waiting
        took.append(time.monotonic() - started)
        return [result]

    assert waited(config, use) == [JobState.SUCCEEDED]
    return took[0]


def test_a_notice_tells_at_once(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.waiters, "POLL_SECONDS", 60)  # Nobody looks; who waits from the start is told all the same.
    [job_id] = queued(fresh.database_url, submission())

    assert seconds_to_hear(fresh, job_id, notice=None) < SLACK_SECONDS


UNREADABLE = {"lost": b"", "junk": b"junk", "empty": b"[]", "no id": b'["5"]'}


def test_without_a_notice_that_can_be_read_the_end_is_found_by_looking(fresh: Settings) -> None:
    job_ids = queued(fresh.database_url, *(submission() for _ in UNREADABLE))

    with ThreadPoolExecutor(len(UNREADABLE)) as pool:  # Each with a listener of its own, all at once.
        took = pool.map(lambda one, notice: seconds_to_hear(fresh, one, notice), job_ids, UNREADABLE.values())

    late = {what: seconds for what, seconds in zip(UNREADABLE, took, strict=True) if seconds >= LOOK_SECONDS_MAX}
    assert late == {}


def test_after_a_notice_that_cannot_be_read_the_next_one_is_heard(fresh: Settings) -> None:
    first, second = queued(fresh.database_url, submission(), submission())

    async def use(waiters: Waiters) -> list[Job | None]:
        waiting = [asyncio.ensure_future(waiters.wait(one, 10)) for one in (first, second)]
        await asyncio.sleep(SETTLED_SECONDS)
        await asyncio.to_thread(finish, fresh, first, b"junk")
        await waiting[0]
        await asyncio.sleep(SETTLED_SECONDS)
        started = time.monotonic()
        await asyncio.to_thread(finish, fresh, second)
        await waiting[1]
        assert time.monotonic() - started < SLACK_SECONDS
        return [one.result() for one in waiting]

    assert waited(fresh, use) == [JobState.SUCCEEDED] * 2


def test_without_redis_the_end_is_found_by_looking(fresh: Settings) -> None:
    [job_id] = queued(fresh.database_url, submission())

    async def use(waiters: Waiters) -> list[Job | None]:
        waiting = asyncio.ensure_future(waiters.wait(job_id, 10))
        await asyncio.to_thread(finish, fresh, job_id)
        started = time.monotonic()
        result = await waiting
        assert time.monotonic() - started < POLL_SECONDS + SLACK_SECONDS
        return [result]

    assert waited(fresh, use, f"redis://127.0.0.1:{ports.free()}/0") == [JobState.SUCCEEDED]


def test_whoever_waited_long_enough_gets_nothing(fresh: Settings) -> None:
    [job_id] = queued(fresh.database_url, submission())

    async def use(waiters: Waiters) -> list[Job | None]:
        started = time.monotonic()
        result = await waiters.wait(job_id, 0.2)
        assert 0.2 <= time.monotonic() - started < 0.2 + SLACK_SECONDS
        return [result]

    assert waited(fresh, use) == []


def test_a_hundred_who_wait_for_one_job_all_hear_of_it(fresh: Settings) -> None:
    [job_id] = queued(fresh.database_url, submission())

    async def use(waiters: Waiters) -> list[Job | None]:
        waiting = [asyncio.ensure_future(waiters.wait(job_id, 10)) for _ in range(100)]
        await asyncio.sleep(0)
        waiting.pop().cancel()
        await asyncio.to_thread(finish, fresh, job_id)
        return list(await asyncio.gather(*waiting))

    assert waited(fresh, use) == [JobState.SUCCEEDED] * 99


def test_a_job_that_ended_before_the_wait_began_is_found_at_once(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.waiters, "POLL_SECONDS", 60)  # Nobody looks, and there is no notice.
    monkeypatch.setattr(api.waiters, "POLL_SECONDS_WITH_NOTICES", 60)
    [job_id] = queued(fresh.database_url, submission())
    finish(fresh, job_id, b"")

    async def use(waiters: Waiters) -> list[Job | None]:
        return [await waiters.wait(job_id, 10)]

    assert waited(fresh, use) == [JobState.SUCCEEDED]
