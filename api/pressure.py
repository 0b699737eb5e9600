"""Back-pressure: which requests are refused, because their queue has more than it can settle in time.

Deciding costs a look into a dictionary. What is decided by is read in the background, twice a second, or less often
where much is to be counted; a process that cannot read it refuses nobody.
"""

import asyncio
import contextlib
from collections import Counter

import structlog
from prometheus_client import Counter as Counted

import db.pressure
import domain.pressure
from db.async_engine import AsyncTransactions
from db.engine import DatabaseError
from db.pressure import Bounds
from domain.jobs import Queue
from domain.pressure import HARD, Load, Marks, Refusal

# Those that callers fill. A replay of webhooks takes as long as it takes, and fills its queue for nobody else.
QUEUES = (Queue.CUSTOMERS, Queue.WALLETS, Queue.TRANSACTIONS)
LOOK_SECONDS = 0.5  # A thousandth of a core, and a queue grows by a thousand jobs or so meanwhile.
LOOK_SECONDS_PER_JOB = 0.000_01  # To count one takes a thirtieth of that: many processes may look at deep queues.
JOBS_COUNTED_MAX = 20_000  # Where the mark is an age: the shares of callers are clear by then.

refused = Counted("tekana_accept_refused", "Requests that were not accepted, by why not.", ["reason"])
OPEN_JOBS, WAITING = "open_jobs", "waiting"  # The reasons of others: see `api.intake`.
for _reason in (*Refusal, OPEN_JOBS, WAITING):
    refused.labels(_reason)

log = structlog.get_logger()


class Pressure:
    def __init__(self, database: AsyncTransactions, marks: Marks) -> None:
        self._database = database
        self._marks = marks
        self._bounds = Bounds(shallow_jobs=marks.shallow_jobs, jobs_max=HARD * marks.jobs_max or JOBS_COUNTED_MAX)
        self._strained: dict[Queue, Load] = {}
        self._since: Counter[tuple[Queue, str]] = Counter()  # Let in by this process since the last look.
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._marks.are_set:
            self._task = asyncio.create_task(self._watch(), name="pressure")

    def refusal(self, queue: Queue, caller: str, jobs: int = 1) -> Refusal | None:
        """Say why `jobs` more of this caller are not accepted now; None when they are, and then they count as its."""
        load = self._strained.get(queue)
        if load is None:
            return None
        own = load.queueing.get(caller, 0) + self._since[queue, caller]
        found = domain.pressure.refusal(load, self._marks, own=own, jobs=jobs)
        if found is None:
            self._since[queue, caller] += jobs
        return found

    async def look(self) -> int:
        """See what waits in the queues; return how many jobs."""
        try:
            loads = await self._database.run(db.pressure.loads, QUEUES, self._bounds)
        except (DatabaseError, OSError, TimeoutError) as error:
            log.warning("the queues' pressure is unknown", error=str(error))
            loads = {}
        strained = {queue: load for queue, load in loads.items() if domain.pressure.strain(load, self._marks) >= 1}
        self._tell(strained)
        self._strained = strained
        self._since.clear()
        return sum(load.jobs for load in loads.values())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        while True:
            jobs = 0
            try:
                jobs = await self.look()
            except Exception:  # Nothing may end the watching: what was seen last would be true for ever.
                log.exception("the queues could not be looked at")
                self._strained = {}
            await asyncio.sleep(LOOK_SECONDS + LOOK_SECONDS_PER_JOB * jobs)

    def _tell(self, strained: dict[Queue, Load]) -> None:
        """Log when a queue comes under pressure, and when it is relieved."""
        for queue in strained.keys() - self._strained.keys():
            load = strained[queue]
            log.warning("queue under pressure", queue=queue, jobs=load.jobs, oldest_seconds=round(load.oldest_seconds))
        for queue in self._strained.keys() - strained.keys():
            log.warning("queue relieved", queue=queue)
