"""Finished jobs in Redis: kept when nothing can change them, and done without when Redis is away."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
import redis
from uuid_utils.compat import uuid7

from api.cache import KEEP_BYTES_MAX, KEEP_SECONDS, CachedJob, JobCache
from domain.jobs import Job, JobError, JobState, Kind
from local.stack import Stack
from tests.absent import KINDS, away

NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)


def found(state: JobState, **changes: Any) -> CachedJob:
    finished_at = None if state is JobState.QUEUED else NOW
    job = Job(id=uuid7(), kind=Kind.DEPOSIT_CREATE, state=state, created_at=NOW, finished_at=finished_at, **changes)
    return CachedJob(job=job, caller="customer:of-a-test")


async def kept(redis_url: str, one: CachedJob, wanted: UUID | None = None) -> CachedJob | None:
    """Put a job and get what is there then; `wanted` if another one."""
    cache = JobCache(redis_url)
    await cache.put(one)
    try:
        return await cache.get(wanted or one.job.id)
    finally:
        await cache.close()


@pytest.mark.parametrize(
    "one",
    [
        found(JobState.SUCCEEDED, result={"transaction_id": "1"}),
        found(JobState.REJECTED, error=JobError(code="same_wallet", message="Both are one.")),
        found(JobState.CANCELED),
    ],
    ids=lambda one: one.job.state,
)
def test_a_job_that_nothing_can_change_is_kept_as_it_is(servers: Stack, one: CachedJob) -> None:
    assert asyncio.run(kept(servers.redis_url, one)) == one


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.FAILED])
def test_a_job_that_may_still_change_is_not_kept(servers: Stack, state: JobState) -> None:
    assert asyncio.run(kept(servers.redis_url, found(state))) is None


def test_a_large_job_is_not_kept(servers: Stack) -> None:
    assert (
        asyncio.run(kept(servers.redis_url, found(JobState.SUCCEEDED, result={"items": "x" * KEEP_BYTES_MAX}))) is None
    )


def test_a_job_is_not_kept_for_ever(servers: Stack) -> None:
    one = found(JobState.SUCCEEDED)
    asyncio.run(kept(servers.redis_url, one))

    with redis.Redis.from_url(servers.redis_url) as client:
        assert 0 < client.ttl(f"job:{one.job.id}") <= KEEP_SECONDS


@pytest.mark.parametrize("text", ["", "junk", "{}", '{"job": {}, "caller": 5}'])
def test_what_another_release_wrote_is_not_there(servers: Stack, text: str) -> None:
    one = found(JobState.FAILED)
    with redis.Redis.from_url(servers.redis_url) as client:
        client.set(f"job:{one.job.id}", text, ex=60)

    assert asyncio.run(kept(servers.redis_url, one)) is None


def test_what_is_kept_of_another_job_is_not_there(servers: Stack) -> None:
    one, other = found(JobState.SUCCEEDED), uuid7()
    with redis.Redis.from_url(servers.redis_url) as client:
        client.set(f"job:{other}", msgspec.json.encode(one), ex=60)

    assert asyncio.run(kept(servers.redis_url, one, wanted=other)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_without_redis_there_is_no_cache_and_no_error(kind: str) -> None:
    with away(kind) as url:
        assert asyncio.run(kept(url, found(JobState.SUCCEEDED))) is None
