"""The courier: sends due deliveries, many at once, and records what came of them.

It outlives the Celery tasks that wake it, so that an answer which takes its time holds up nobody. What it claims is
leased: if it dies, the lease ends and another courier sends.
"""

import asyncio
import contextlib
import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

import db.deliveries
import db.outbox
import db.webhooks
import domain.signatures
import domain.webhooks
import tracing
import workers.lanes
from db.async_engine import AsyncTransactions
from db.deliveries import ClaimedDelivery, Recorded
from db.engine import DatabaseError
from db.events import NOWHERE
from db.webhooks import Health
from domain.deliveries import Answer, Attempt, DeliveryState
from domain.retries import Schedule, Verdict, parse_delays
from sealing import Sealer
from settings import Settings, require
from workers.attempts import described, ended, log_attempt
from workers.lanes import SLOTS, Lanes
from workers.outbound import Outbound
from workers.outcomes import Outcomes

FAN_OUT_DELIVERIES = 1_000  # In one transaction: 20 ms.
LEASE_MARGIN_SECONDS = 5.0  # Beyond the longest attempt: what a record may take until the database is given up.
POLL_SECONDS = 0.25  # Finds retries that have come due, and what was not rung for.
RETRY_SECONDS = 0.5  # After an error of the database.
# That a stop waits for a claim, which takes milliseconds, out of half a minute: what one leases that is given up is
# sent only when the lease has ended.
CLAIM_SECONDS_MAX = 2.0
DATABASE_CONNECTIONS = 3  # Claims, records, and one for the overlap.

log = structlog.get_logger()


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
        self._lanes = Lanes()
        self._after = NOWHERE  # The lane up to which the latest claim looked.
        self._sending: set[asyncio.Task[None]] = set()
        self._outcomes = Outcomes(self._database, config.webhook_disable_after_seconds)
        self._is_stopping = False
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._counts = {"events": 0, "deliveries": 0}
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._outcomes.record_forever())]

    def wake(self) -> None:
        """Look for work at once."""
        self._idle.clear()
        self._woken.set()

    async def settle(self, seconds: float) -> dict[str, int]:
        """Look for work until there is no more to claim, or for `seconds`; count what was begun since the last time."""
        self.wake()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        counts, self._counts = self._counts, dict.fromkeys(self._counts, 0)
        return counts

    async def stop(self) -> None:
        """Claim nothing more, let what is under way end, and record it."""
        claiming, recording = self._tasks
        self._is_stopping = True
        self.wake()
        await asyncio.wait([claiming], timeout=CLAIM_SECONDS_MAX)
        await _cancel(claiming)
        await asyncio.gather(*self._sending)
        await _cancel(recording)
        await self._outcomes.finish()
        await self._outbound.close()
        await self._database.close()

    async def _run(self) -> None:
        while not self._is_stopping:
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
                async with asyncio.timeout(POLL_SECONDS):  # Python 3.11's wait_for may swallow a cancellation.
                    await self._woken.wait()

    async def _cycle(self) -> bool:
        """Return whether there may be more to do at once."""
        if self._outcomes.is_behind:  # What is not recorded yet must not be claimed again.
            return False
        fanned = await self._database.run(db.outbox.fan_out, FAN_OUT_DELIVERIES, self._schedule.delays[0])
        if self._is_stopping:
            return False
        claimed = await self._claim()
        for one in claimed:
            self._begin(one)
        self._counts["events"] += fanned.events
        self._counts["deliveries"] += len(claimed)
        return fanned.has_more or bool(claimed)

    async def _claim(self) -> list[ClaimedDelivery]:
        lease_seconds = self._config.webhook_timeout_seconds + LEASE_MARGIN_SECONDS
        claimed, resume = await self._database.run(workers.lanes.claim, self._after, self._lanes.loads(), lease_seconds)
        self._after = resume or NOWHERE
        return claimed

    def _begin(self, one: ClaimedDelivery) -> None:
        self._lanes.enter(one)
        task = asyncio.create_task(self._send(one))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, one: ClaimedDelivery) -> None:
        """Make one attempt. What goes wrong on our side costs none: the lease ends and it comes again."""
        try:
            if one.is_allowed:
                await self._attempt(one)
            else:
                self._end(one, Verdict(state=DeliveryState.CANCELED))
        except Exception:
            self._lanes.note(one, is_failing=True)  # Whatever it was, the next one may meet it too.
            log.exception("delivery not attempted", delivery_id=one.id)
        finally:
            if self._lanes.leave(one):
                self._woken.set()

    async def _attempt(self, one: ClaimedDelivery) -> None:
        at = datetime.now(UTC)
        secrets = [self._sealer.open(sealed) for sealed in one.sealed_secrets]
        body = msgspec.json.encode(one.event)
        headers = domain.signatures.headers(secrets, one.event.id, int(at.timestamp()), body)
        with tracing.step("webhook attempt", one.trace_context, "client", described(one)) as tell:
            if (traceparent := tracing.context()) is not None:
                headers["traceparent"] = traceparent  # Of the trace that the caller may have begun.
            answer = await self._outbound.post(one.url, headers, body)
            tell(ended(answer))
            verdict = self._schedule.judge(answer, one.attempts + 1, now=datetime.now(UTC), jitter=random.random())  # noqa: S311 - jitter
            log_attempt(one, answer, verdict.state)
        is_news = self._lanes.fails(one) or not answer.is_success
        self._lanes.note(one, is_failing=not answer.is_success)
        self._end(one, verdict, _attempt(at, answer), is_news=is_news)

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
            health = Health(
                endpoint_id=one.endpoint_id,
                succeeded=succeeded,
                is_gone=verdict.is_gone,
                pause_seconds=verdict.pause_seconds,
            )
        self._outcomes.add(recorded, health)


def _attempt(at: datetime, answer: Answer) -> Attempt:
    return Attempt(
        at=at, duration_ms=answer.duration_ms, status=answer.status, error=answer.error, excerpt=answer.excerpt
    )


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
