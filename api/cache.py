"""Finished jobs in Redis: they never change, so a poll that comes late costs the database nothing.

Redis may be away at any time; then there is no cache, and for a second nobody asks it.
"""

from uuid import UUID

import msgspec

import redis_clients
from api.breaker import Breaker
from domain.jobs import Job

KEEP_SECONDS = 3_600  # Pollers ask within seconds; an hour of 1,000 jobs/s is 1.5 GB, so no longer.
KEEP_BYTES_MAX = 8 * 1024  # Ten times an ordinary job; bulks of a thousand would be 100 MB for a thousand polls.
TIMEOUT_SECONDS = 0.25  # A slower answer than the database's is of no use.


class CachedJob(msgspec.Struct, frozen=True, kw_only=True):
    job: Job
    caller: str


class JobCache:
    def __init__(self, redis_url: str) -> None:
        self._client = redis_clients.connect_async(
            redis_url, timeout_seconds=TIMEOUT_SECONDS, connect_seconds=TIMEOUT_SECONDS, retry=None
        )
        self._breaker = Breaker("job cache", self._client)

    async def get(self, job_id: UUID) -> CachedJob | None:
        return await self._breaker.ask(lambda: self._found(job_id))

    async def _found(self, job_id: UUID) -> CachedJob | None:
        data = msgspec.convert(await self._client.get(_name(job_id)), bytes | None)
        found = None if data is None else _decode(data)
        if found is not None and found.job.id != job_id:
            raise ValueError(f"job {found.job.id} in the place of {job_id}")
        return found

    async def put(self, found: CachedJob) -> None:
        """Keep a job that is final: not even an operator can change it."""
        if not found.job.is_final:
            return
        data = msgspec.json.encode(found)
        if len(data) <= KEEP_BYTES_MAX:
            await self._breaker.ask(lambda: self._client.set(_name(found.job.id), data, ex=KEEP_SECONDS))

    async def close(self) -> None:
        await self._client.aclose()


def _decode(data: bytes) -> CachedJob | None:
    """What a release of another day wrote may have another shape: then there is nothing."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError:
        return None


def _name(job_id: UUID) -> str:
    return f"job:{job_id}"


_decoder = msgspec.json.Decoder(CachedJob)
