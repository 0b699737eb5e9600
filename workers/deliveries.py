"""Deliveries in the worker's process: a courier in a thread of its own, who outlives the tasks that wake it."""

import asyncio
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import uvloop

from domain.jobs import Queue
from settings import Settings, settings
from workers import batches
from workers.app import app

if TYPE_CHECKING:
    from workers.courier import Courier

TASK_SECONDS = 5.0  # Then the task ends, so that Flower sees progress; the courier goes on.


def settle() -> dict[str, int]:
    """Settle the queue's jobs, which are replays, and begin every delivery that is due."""
    office().wake()
    return batches.drain(Queue.WEBHOOKS, TASK_SECONDS) | office().settle(TASK_SECONDS)


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
    async def _open(config: Settings) -> "Courier":
        from workers.courier import Courier  # noqa: PLC0415 - the other workers start half a second sooner without

        return Courier(config)

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@lru_cache(maxsize=1)
def office() -> Office:
    """Return this process's courier, who begins to work when he is first asked for."""
    return Office(settings())


def open_office() -> None:
    """Begin before the first message: without a broker none comes, and what is due is found without."""
    if Queue.WEBHOOKS.value in app.amqp.queues.consume_from:
        office()


def close_office() -> None:
    """Let what is under way arrive before the process ends: sent, but not recorded, it would be sent twice."""
    if office.cache_info().currsize:
        office().close()
