"""The courier: sends due deliveries, many at once, and lets no receiver wait for another one.

It runs in a thread of the worker's process and outlives the Celery tasks that wake it, so that an answer which takes
its time holds up nobody. What it claims is leased: if it dies, the lease ends and another courier sends.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
import structlog
import uvloop
from celery.signals import worker_process_shutdown

import db.deliveries
import db.outbox
import db.webhooks
import domain.webhooks
from db.deliveries import ClaimedDelivery, Recorded, Room
from db.engine import AsyncTransactions, Connection, DatabaseError
from db.webhooks import Health
from domain.deliveries import Answer, Attempt, DeliveryState, Schedule, Verdict, parse_delays
from domain.jobs import Queue
from sealing import Sealer
from settings import Settings, require, settings
from workers import batches
from workers.outbound import Outbound

LANE_SLOTS = 32  # Deliveries under way to one endpoint: with answers after 50 ms that is 640 a second.
LANE_SLOTS_FAILING = 1  # Enough to notice that it is back; what it holds up is one slot.
SLOTS = 500  # In all, within the 1,024 files of a common shell: as many endpoints may hang before a healthy one waits.
REFILL_BELOW = LANE_SLOTS // 2  # A claim costs a query: it is worth half a lane.
FAN_OUT_DELIVERIES = 1_000  # In one transaction: 20 ms.
LEASE_MARGIN_SECONDS = 5.0  # Beyond the longest attempt: what a record may take until the database is given up.
POLL_SECONDS = 0.25  # Finds retries that have come due, and what was not rung for.
RETRY_SECONDS = 0.5  # After an error of the database.
TASK_SECONDS = 5.0  # Then the task ends, so that Flower sees progress; the courier goes on.
DATABASE_CONNECTIONS = 3  # Claims, records, and one for the overlap.

log = structlog.get_logger()


class Lane:
    """What goes to one endpoint, or to one API key's callbacks."""

    def __init__(self) -> None:
        self.under_way = 0
        self.is_failing = False
        self.paused_until = 0.0  # By the monotonic clock.

    def room(self) -> int:
        slots = LANE_SLOTS_FAILING if self.is_failing else LANE_SLOTS
        return 0 if time.monotonic() < self.paused_until else max(slots - self.under_way, 0)

    @property
    def is_remarkable(self) -> bool:
        return self.under_way > 0 or self.is_failing or time.monotonic() < self.paused_until


class Courier:
    """Fans events out, claims what is due, sends it and records what came of it. Belongs to one event loop."""

    def __init__(self, config: Settings) -> None:
        require(config, "database_worker_url", "webhook_keys")
        self._config = config
        self._database = AsyncTransactions(config.database_worker_url, DATABASE_CONNECTIONS)
        self._sealer = Sealer(config.webhook_keys, "WEBHOOK_KEYS")
        self._schedule = Schedule(delays=parse_delays(config.webhook_retry_seconds))
        self._outbound = Outbound(
            timeout_seconds=config.webhook_timeout_seconds,
            connect_timeout_seconds=config.webhook_connect_timeout_seconds,
            allow_loopback=config.webhook_allow_loopback,
            connections_max=SLOTS,
        )
        self._lanes: dict[UUID, Lane] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._ended: list[tuple[Recorded, Health | None]] = []
        self._has_ended = asyncio.Event()
        self._is_behind = False  # Whether the latest record failed.
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._counts = {"events": 0, "deliveries": 0}
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._record_forever())]

    def wake(self) -> None:
        """Look for work at once."""
        self._idle.clear()
        self._woken.set()

    async def settle(self, seconds: float) -> dict[str, int]:
        """Look for work until there is no more to claim, or for `seconds`; count what was begun since the last time."""
        self.wake()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)
        counts, self._counts = self._counts, dict.fromkeys(self._counts, 0)
        return counts

    async def stop(self) -> None:
        """Claim nothing more, let what is under way end, and record it."""
        claiming, recording = self._tasks
        await _cancel(claiming)
        await asyncio.gather(*self._sending)
        await _cancel(recording)
        await self._record()
        await self._outbound.close()
        await self._database.close()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                has_more = await self._cycle()
            except (DatabaseError, TimeoutError) as error:
                log.warning("courier without database", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except Exception:  # The loop must not end: all deliveries wait for it.
                log.exception("courier stumbled")
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if has_more or self._woken.is_set():
                continue
            self._idle.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)

    async def _cycle(self) -> bool:
        """Return whether there may be more to do at once."""
        if self._is_behind:  # What is not recorded yet must not be claimed again.
            return False
        fanned = await self._database.run(db.outbox.fan_out, FAN_OUT_DELIVERIES)
        claimed = await self._claim()
        for one in claimed:
            self._begin(one)
        self._counts["events"] += fanned.events
        self._counts["deliveries"] += len(claimed)
        return fanned.has_more or bool(claimed)

    async def _claim(self) -> list[ClaimedDelivery]:
        free = SLOTS - len(self._sending)
        if free <= 0:
            return []
        rooms = [Room(lane_id=lane_id, room=lane.room()) for lane_id, lane in self._lanes.items()]
        lease_seconds = self._config.webhook_timeout_seconds + LEASE_MARGIN_SECONDS
        limits = db.deliveries.Limits(rooms=rooms, other_lanes=LANE_SLOTS, total=free)
        return await self._database.run(db.deliveries.claim, limits, lease_seconds)

    def _begin(self, one: ClaimedDelivery) -> None:
        self._lanes.setdefault(one.lane_id, Lane()).under_way += 1
        task = asyncio.create_task(self._send(one))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, one: ClaimedDelivery) -> None:
        """Make one attempt. What goes wrong on our side costs none: the lease ends and it comes again."""
        lane = self._lanes[one.lane_id]
        try:
            if one.is_allowed:
                await self._attempt(one, lane)
            else:
                self._end(one, Verdict(state=DeliveryState.CANCELED))
        except Exception:
            log.exception("delivery not attempted", delivery=str(one.id))
        finally:
            lane.under_way -= 1
            if lane.under_way < REFILL_BELOW:
                self._woken.set()
            if not lane.is_remarkable:
                self._lanes.pop(one.lane_id, None)

    async def _attempt(self, one: ClaimedDelivery, lane: Lane) -> None:
        at = datetime.now(UTC)
        secrets = [self._sealer.open(sealed) for sealed in one.sealed_secrets]
        body = msgspec.json.encode(one.event)
        answer = await self._outbound.post(one.url, headers(one, secrets, int(at.timestamp()), body), body)
        verdict = self._schedule.judge(answer, one.attempts + 1, now=datetime.now(UTC), jitter=random.random())  # noqa: S311 - jitter
        was_failing, lane.is_failing = lane.is_failing, not answer.is_success
        lane.paused_until = time.monotonic() + verdict.pause_seconds
        self._end(one, verdict, _attempt(at, answer), is_news=was_failing or lane.is_failing)

    def _end(
        self, one: ClaimedDelivery, verdict: Verdict, attempt: Attempt | None = None, *, is_news: bool = False
    ) -> None:
        recorded = Recorded(
            id=one.id,
            fence=one.fence,
            state=verdict.state,
            delay_seconds=verdict.delay_seconds,
            attempt=attempt,
        )
        health = None
        if is_news and one.endpoint_id is not None:
            succeeded = verdict.state is DeliveryState.SUCCEEDED
            health = Health(endpoint_id=one.endpoint_id, succeeded=succeeded, is_gone=verdict.is_gone)
        self._ended.append((recorded, health))
        self._has_ended.set()

    async def _record_forever(self) -> None:
        """Record what has ended: what ends while a record is being written goes with the next one."""
        while True:
            await self._has_ended.wait()
            self._has_ended.clear()
            try:
                await self._record()
            except Exception as error:  # noqa: BLE001 - whatever it was, what has ended must be recorded
                log.warning("courier could not record", error=str(error))
                self._is_behind = True
                self._has_ended.set()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._is_behind = False

    async def _record(self) -> None:
        """Write it all in one transaction; done twice, after a commit whose answer was lost, it changes nothing."""
        ended = list(self._ended)
        if ended:
            await self._database.run(_write, ended, self._config.webhook_disable_after_seconds)
            del self._ended[: len(ended)]


def headers(one: ClaimedDelivery, secrets: Sequence[str], timestamp: int, body: bytes) -> dict[str, str]:
    """Return what a message carries (Standard Webhooks 1.0); its id is the event's, the same on every attempt."""
    message_id = str(one.event.id)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": domain.webhooks.signature(secrets, message_id, timestamp, body),
    }


def _attempt(at: datetime, answer: Answer) -> Attempt:
    return Attempt(
        at=at, duration_ms=answer.duration_ms, status=answer.status, error=answer.error, excerpt=answer.excerpt
    )


def _write(connection: Connection, ended: Sequence[tuple[Recorded, Health | None]], disable_after_seconds: int) -> None:
    db.deliveries.record(connection, [recorded for recorded, _ in ended])
    seen = _merged([health for _, health in ended if health is not None])
    if seen:
        for one in db.webhooks.note_health(connection, seen, disable_after_seconds):
            log.warning("endpoint disabled", endpoint=str(one.endpoint_id), reason=one.disabled_reason)


def _merged(seen: Sequence[Health]) -> list[Health]:
    """Return one finding an endpoint: one success among many failures is a success."""
    found: dict[UUID, Health] = {}
    for one in seen:
        before = found.get(one.endpoint_id, one)
        found[one.endpoint_id] = Health(
            endpoint_id=one.endpoint_id,
            succeeded=one.succeeded or before.succeeded,
            is_gone=one.is_gone or before.is_gone,
        )
    return [found[endpoint_id] for endpoint_id in sorted(found)]


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class Office:
    """A courier in a thread of its own, for a process that works in another one."""

    def __init__(self, config: Settings) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="courier", daemon=True)
        self._thread.start()
        self._courier = self._do(self._open(config))

    def settle(self, seconds: float) -> dict[str, int]:
        counts: dict[str, int] = self._do(self._courier.settle(seconds))
        return counts

    def wake(self) -> None:
        self._loop.call_soon_threadsafe(self._courier.wake)

    def close(self) -> None:
        self._do(self._courier.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @staticmethod
    async def _open(config: Settings) -> Courier:
        return Courier(config)

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@lru_cache(maxsize=1)
def office() -> Office:
    """Return this process's courier, who begins to work when he is first asked for."""
    return Office(settings())


def settle() -> dict[str, int]:
    """Settle the queue's jobs, which are replays, and begin every delivery that is due."""
    office().wake()
    return batches.drain(Queue.WEBHOOKS, TASK_SECONDS) | office().settle(TASK_SECONDS)


@worker_process_shutdown.connect
def close_office(**_: Any) -> None:
    """Let what is under way arrive before the process ends: sent, but not recorded, it would be sent twice."""
    if office.cache_info().currsize:
        office().close()
