"""A replica for reads, and how old what it shows may be.

No clock of another machine is asked, and no row written: every second the primary says up to where it has written. Once
the replica shows that place, it shows all that anybody had been promised before the primary was asked.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import structlog

import db.replica
from db.async_engine import AsyncTransactions
from db.engine import Connection, DatabaseError, is_retryable
from db.replica import Place

LOOK_SECONDS = 1.0  # Between two looks, each of which costs either server a millisecond.
DEADLINE_SECONDS = 1.0  # Of a read: a replica answers in milliseconds, or the primary is asked.
ERRORS = (DatabaseError, OSError, TimeoutError)

log = structlog.get_logger()

P = ParamSpec("P")
R = TypeVar("R")


class Freshness:
    """Moments at which the primary said where it stands, and the latest of them that the replica has reached."""

    def __init__(self, keep_seconds: float) -> None:
        self._keep_seconds = keep_seconds
        self._moments: deque[tuple[float, Place]] = deque()
        self._latest: Place | None = None
        self._as_of = -math.inf

    def note(self, moment: float, written: Place) -> None:
        """Note where the primary stood at `moment` or later; what is too old to be of use is forgotten."""
        if self._latest is not None and not written.is_of_the_same_history(self._latest):
            self._moments.clear()
            self._as_of = -math.inf
        self._latest = written
        self._moments.append((moment, written))
        while moment - self._moments[0][0] > self._keep_seconds:
            self._moments.popleft()

    def reach(self, shown: Place | None) -> None:
        """Note what the replica shows; what is no replica of this primary shows nothing of it."""
        if shown is None or self._latest is None or not shown.is_of_the_same_history(self._latest):
            self._as_of = -math.inf
            return
        while self._moments and self._moments[0][1].position <= shown.position:
            self._as_of = self._moments.popleft()[0]

    def age(self, moment: float) -> float:
        """Return how many seconds old at most is what the replica shows at `moment`."""
        return moment - self._as_of


class Replica:
    """A replica that may be asked while it answers and shows what is at most `age_seconds_max` old."""

    def __init__(self, primary: AsyncTransactions, database: AsyncTransactions, age_seconds_max: float) -> None:
        self.database = database
        self._primary = primary
        self._age_seconds_max = age_seconds_max
        self._freshness = Freshness(age_seconds_max)
        self._answers = False
        self._was_usable = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name="replica")

    @property
    def age_seconds(self) -> float:
        """How old at most what the replica shows is; infinite while nobody knows."""
        return self._freshness.age(time.monotonic())

    def is_usable(self) -> bool:
        return self._answers and self.age_seconds <= self._age_seconds_max

    async def run(self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function` on the replica.

        Raises:
            DatabaseError, OSError, TimeoutError: it does not answer, or cannot do this.

        """
        try:
            return await self.database.run(function, *args, **kwargs)
        except ERRORS as error:
            if not is_retryable(error):  # A read that stands in the way of replay is canceled; the next one passes.
                self._answers = False  # Until a look finds it again: nobody else is to wait for it.
            raise

    async def look(self) -> float:
        """See how far both are; return how many seconds old at most what the replica shows is."""
        moment = time.monotonic()
        try:
            self._freshness.note(moment, await self._primary.run(db.replica.written))
        except ERRORS as error:
            log.warning("the primary does not say where it stands", error=str(error))  # What is known grows old.
        try:
            self._freshness.reach(await self.database.run(db.replica.replayed))
            self._answers = True
        except ERRORS as error:
            self._answers = False
            self._tell(str(error))
        else:
            self._tell()
        return self.age_seconds

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.database.close()

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:  # Nothing may end the watching, or the replica is never asked again.
                log.exception("the replica could not be looked at")
            await asyncio.sleep(LOOK_SECONDS)

    def _tell(self, trouble: str = "") -> None:
        """Log when reads begin to go to the replica, and when they cease to."""
        if self.is_usable() != self._was_usable:
            self._was_usable = self.is_usable()
            log.warning("reads go to the replica" if self.is_usable() else "reads go to the primary", error=trouble)
