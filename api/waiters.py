"""Waiting for jobs to finish: one subscription a process wakes whoever waits, whatever the number.

A notice may be lost, so the jobs that are waited for are also looked up, all in one query: twice a
second while Redis is down, every two seconds otherwise.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

import msgspec
import structlog

import db.jobs
import redis_clients
from db.async_engine import AsyncTransactions
from domain.jobs import FINISHED_CHANNEL, Job

POLL_SECONDS = 0.5
POLL_SECONDS_WITH_NOTICES = 2.0
CONNECT_SECONDS = 1.0
LISTEN_SECONDS = 20.0  # Of silence, after which the subscription is checked with a ping.

log = structlog.get_logger()


class Waiters:
    def __init__(self, database: AsyncTransactions, redis_url: str) -> None:
        self._database = database
        self._redis_url = redis_url
        self._waiting: dict[UUID, set[asyncio.Future[Job]]] = defaultdict(set)
        self._is_listening = False
        self._is_stopping = False
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._poll())]

    async def wait(self, job_id: UUID, seconds: float, *, may_have_finished: bool = True) -> Job | None:
        """Return the job when it has finished, or None when it has not within `seconds`.

        Who read the job before waiting may have missed its notice, so it is read again while waiting.
        """
        future: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
        self._waiting[job_id].add(future)
        try:
            async with asyncio.timeout(seconds):
                if may_have_finished:
                    await self._try_look([job_id])
                return await future
        except TimeoutError:
            return None
        finally:
            self._waiting[job_id].discard(future)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def look(self, job_ids: Collection[UUID]) -> None:
        """Read these jobs and wake the waiters of those that have finished."""
        for job in await self._database.run(db.jobs.find_finished, list(job_ids)):
            for future in self._waiting.get(job.id, ()):
                if not future.done():
                    future.set_result(job)

    async def stop(self) -> None:
        self._is_stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> None:
        # A connection that breaks while it is being closed would swallow the cancellation.
        while not self._is_stopping:
            try:
                await self._subscribe()
            except Exception as error:  # noqa: BLE001 - nothing may end the listening, not even a bad notice
                log.warning("notices lost", error=str(error))
            self._is_listening = False
            await asyncio.sleep(POLL_SECONDS)

    async def _subscribe(self) -> None:
        client = redis_clients.connect_async(self._redis_url, timeout_seconds=None, connect_seconds=CONNECT_SECONDS)
        async with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(FINISHED_CHANNEL)
            self._is_listening = True
            while True:
                async with asyncio.timeout(LISTEN_SECONDS + CONNECT_SECONDS):
                    message = await pubsub.get_message(timeout=LISTEN_SECONDS)
                if message is None:
                    async with asyncio.timeout(CONNECT_SECONDS):
                        await pubsub.ping()
                elif message["type"] == "message" and self._waiting:  # A ping's answer comes this way too.
                    await self._notice(message["data"])

    async def _notice(self, data: bytes) -> None:
        finished = self._waiting.keys() & set(msgspec.json.decode(data, type=list[UUID]))
        if finished:
            await self._try_look(finished)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS_WITH_NOTICES if self._is_listening else POLL_SECONDS)
            if self._waiting:
                await self._try_look(list(self._waiting))

    async def _try_look(self, job_ids: Collection[UUID]) -> None:
        try:
            await self.look(job_ids)
        except Exception as error:  # noqa: BLE001 - nothing may end the polling
            log.warning("waiters could not read", jobs=len(job_ids), error=str(error))
