"""The coalescing accept: requests that arrive together share one INSERT, one commit and one ring.

A request is answered only after its job is committed. While a flush runs, the next batch gathers by
itself; when nothing runs, a request starts one at once. Under load a flush lingers for company.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from itertools import groupby

import msgspec
import structlog
from prometheus_client import Counter, Histogram

import api.pressure
import db.jobs
import tracing
from api.errors import ApiError, IdempotencyKeyReused, Overloaded, TooManyOpenJobs, Unavailable
from api.open_jobs import OpenJobs
from api.pressure import OPEN_JOBS, WAITING, Pressure
from db.async_engine import AsyncTransactions
from db.engine import Connection, is_unavailable
from db.jobs import Stored
from domain.jobs import QUEUE_OF, Submission
from domain.pressure import Refusal
from workers.bell import Bell

FLUSH_MAX = 500  # Rows in one INSERT: 15 ms; more would only lengthen the wait of the next ones.
WAITING_MAX = 5_000  # A second's worth at full speed: who comes later is told at once instead of waiting in vain.
RETRY_SECONDS = 1
# Under load a flush waits for company: half a millisecond of its CPU is the same for any size. After one of a single
# request the next waits for nothing. 0.1 ms a job let p99 grow, and 1 ms p50 (decision 64).
LINGER_SECONDS_PER_JOB = 0.0004
LINGER_SECONDS_MAX = 0.005

flush_jobs = Histogram(
    "tekana_accept_flush_jobs", "Jobs of a flush.", buckets=(1, 2, 5, 10, 20, 50, 100, 200, FLUSH_MAX)
)
flush_seconds = Histogram(
    "tekana_accept_flush_seconds",
    "Time to store a flush, with its commit.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
accept_seconds = Histogram(
    "tekana_accept_seconds",
    "Time from the arrival of a flush's first request to the commit: no request of it waited longer.",
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
flushes_failed = Counter("tekana_accept_flushes_failed", "Flushes that the database refused or did not answer.")

log = structlog.get_logger()


class Waiting(msgspec.Struct, frozen=True):
    """A request that waits for the next flush. One that is refused may still find the job of its key there."""

    submission: Submission
    future: asyncio.Future[Stored]
    refusal: Refusal | None = None


class Intake:
    def __init__(
        self,
        database: AsyncTransactions,
        bell: Bell,
        open_jobs: OpenJobs,
        *,
        pressure: Pressure | None = None,
        flush_max: int | None = None,
        waiting_max: int | None = None,
    ) -> None:
        self._database = database
        self._bell = bell
        self._open_jobs = open_jobs
        self._pressure = pressure
        self._flush_max = flush_max or FLUSH_MAX
        self._waiting_max = waiting_max or WAITING_MAX
        self._waiting: list[Waiting] = []
        self._since = 0.0  # When the first of those that wait arrived, or an earlier time under overload.
        self._arrived = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="intake")

    @property
    def waiting(self) -> int:
        """How many requests wait for the next flush."""
        return len(self._waiting)

    async def accept(self, submission: Submission) -> Stored:
        """Return the job that stands under the submission's key, once it is durable.

        Raises:
            IdempotencyKeyReused: the key stands for another route or body.
            TooManyOpenJobs: the caller has too many queued ones.
            Overloaded: the queue has too many.
            Unavailable: too many wait, or the API is stopping; then, too, the key tells whether there is a job.
            DatabaseError, TimeoutError: the database is down; there may or may not be a job, the key tells.

        """
        refusal = self._refusal(submission)
        future: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._since = time.perf_counter()
        self._waiting.append(Waiting(submission, future, refusal))
        self._arrived.set()
        try:
            stored = await future
        finally:
            # A refusal knows this frame by its traceback, and the future knows the refusal: such a circle stays until
            # Python looks for garbage, and under overload most requests would leave one.
            del future
        if stored.fingerprint != submission.fingerprint:
            raise IdempotencyKeyReused
        return stored

    def _refusal(self, submission: Submission) -> Refusal | None:
        """Say why there will be no new job; raise it where not even a known key is looked up any more."""
        if len(self._waiting) >= self._waiting_max:
            api.pressure.refused.labels(WAITING).inc()
            raise Unavailable("Too many requests wait for the database.")
        if self._pressure is None:
            return None
        found = self._pressure.refusal(submission.queue, submission.caller, submission.items or 1)
        if found is not None and len(self._waiting) >= self._flush_max:
            api.pressure.refused.labels(found).inc()
            raise Overloaded
        return found

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        _refuse(self._waiting, Unavailable("The API is stopping."))

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            batch, self._waiting, since = (
                self._waiting[: self._flush_max],
                self._waiting[self._flush_max :],
                self._since,
            )
            if not self._waiting:
                self._arrived.clear()
            try:
                await self._flush(batch, since)
            except asyncio.CancelledError:
                _refuse(batch, Unavailable("The API is stopping."))
                raise
            except Exception as error:  # One request's surprise must not end the loop that all wait for.
                log.exception("flush failed")
                _refuse(batch, error)
            if len(batch) > 1 and len(self._waiting) < self._flush_max:
                await asyncio.sleep(min(len(batch) * LINGER_SECONDS_PER_JOB, LINGER_SECONDS_MAX))

    async def _flush(self, batch: list[Waiting], since: float) -> None:
        """Stage the batch; if a row is refused, each alone, so that only its own request fails."""
        error = await self._try_flush(batch)
        if error is None:
            accept_seconds.observe(time.perf_counter() - since)
            return
        if len(batch) == 1 or is_unavailable(error):
            _refuse(batch, error)
            return
        for place, one in enumerate(batch):
            error = await self._try_flush([one])
            if error is None:
                continue
            if is_unavailable(error):
                _refuse(batch[place:], error)
                return
            _refuse([one], error)

    async def _try_flush(self, batch: list[Waiting]) -> Exception | None:
        stored = await self._store(
            [one.submission for one in batch], [one.submission for one in batch if one.refusal is None]
        )
        if isinstance(stored, Exception):
            return stored
        for waiting in batch:
            _resolve(waiting, stored.get(_key(waiting.submission)))
        return None

    async def _store(
        self, submissions: Sequence[Submission], new: Sequence[Submission]
    ) -> Mapping[tuple[str, str], Stored] | Exception:
        """Return what is stored, or what went wrong: an error that knows this frame, which knows no future."""
        began = time.perf_counter()
        with tracing.batch("accept", submissions, {}) as tell:
            try:
                if near := self._open_jobs.near(new):
                    await self._database.run(self._open_jobs.look, near)
                stored = await self._database.run_statements(self._stage, submissions, new)
            except Exception as error:  # noqa: BLE001 - whatever it is, each waiting request must hear of it
                flushes_failed.inc()
                tell({tracing.ERROR_TYPE: type(error).__qualname__})
                return error
            self._ring([one for submission in submissions if (one := stored.get(_key(submission))) is not None])
        flush_jobs.observe(len(submissions))
        flush_seconds.observe(time.perf_counter() - began)
        return stored

    def _stage(
        self, connection: Connection, submissions: Sequence[Submission], new: Sequence[Submission]
    ) -> dict[tuple[str, str], Stored]:
        """Stage those of `new` that there is room for; whoever is refused gets back what was accepted before."""
        admitted = self._open_jobs.admit(new)
        stored = db.jobs.stage(connection, admitted) if admitted else {}
        return stored | db.jobs.find_by_keys(connection, {_key(one) for one in submissions} - stored.keys())

    def _ring(self, stored: list[Stored]) -> None:
        ids = sorted((QUEUE_OF[one.job.kind], one.job.id) for one in stored if not one.job.is_finished)
        for queue, group in groupby(ids, key=lambda pair: pair[0]):
            jobs = [job_id for _, job_id in group]
            self._bell.ring(queue, len(jobs), jobs[0])


def _key(submission: Submission) -> tuple[str, str]:
    return submission.caller, submission.idempotency_key


def _resolve(waiting: Waiting, stored: Stored | None) -> None:
    if waiting.future.done():
        return
    if stored is not None:
        waiting.future.set_result(stored)
        return
    api.pressure.refused.labels(waiting.refusal or OPEN_JOBS).inc()
    waiting.future.set_exception(_no_job(waiting))


def _no_job(waiting: Waiting) -> ApiError:
    return Overloaded() if waiting.refusal else TooManyOpenJobs(retry_after=RETRY_SECONDS)


def _refuse(batch: list[Waiting], error: Exception) -> None:
    for one in batch:
        if not one.future.done():
            one.future.set_exception(error)
