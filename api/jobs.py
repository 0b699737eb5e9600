"""Jobs: how every write is accepted, and how its end is learned."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage
from uuid_utils.compat import uuid7

import api.pages
import db.actions
import db.jobs
import tracing
from api.cache import CachedJob
from api.errors import IdempotencyKeyMissing, JobFinished, NotFound, Unauthenticated
from api.limits import Rate
from api.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from api.runtime import AnyoneRequest, CallerRequest, Runtime, reads, runtime
from db.engine import Connection
from db.jobs import Stored
from domain.access import Access, Caller, Scope
from domain.actions import Action, NewAction
from domain.jobs import QUEUE_OF, Job, JobState, Kind, Queue, Submission

WAIT_SECONDS_MAX = 30
STREAM_SECONDS = 25  # Then the client reconnects: a server that waits for endless streams never stops.
RETRY_AFTER = "1"
# As if the field were not there: keys from before there were callbacks stand for the same requests as before.
NO_CALLBACK = b'"callback_url":null,'
KEY = re.compile(r"[\x21-\x7e]{1,255}")
WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,18})\"?(?=$|[,;\s])", re.IGNORECASE)

# A registration may be read by anyone, another job by its maker and by `jobs:read`: see `find`.
ANYONE_OR_OWNER = {"access": Access(anyone=True, customers=True, keys=True)}
InState = Annotated[JobState | None, QueryParameter(name="state", description="Only jobs in this state.")]
OfKind = Annotated[Kind | None, QueryParameter(description="Only jobs of this kind.")]


@get("/v1/jobs/{job_id:uuid}", opt=ANYONE_OR_OWNER, tags=["jobs"])
async def get_job(request: AnyoneRequest, job_id: FromPath[UUID]) -> Response[Job]:
    """Read a job. A registration may be read by anyone, any other job by its maker and by `jobs:read`."""
    wait = preferred_wait(request)
    found = await find(runtime(request), request.auth, job_id)
    job = found.job
    if wait and not job.is_finished:
        job = await runtime(request).waiters.wait(job_id, wait) or job
    return _answer_read(request, job, wait)


def _answer_read(request: AnyoneRequest, job: Job, wait: int | None) -> Response[Job]:
    headers = {} if wait is None else {"Preference-Applied": f"wait={wait}"}
    if not job.is_finished:
        return Response(job, headers=headers | {"Retry-After": RETRY_AFTER, "Cache-Control": "no-store"})
    tag = etag(job)
    headers |= {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = {one.strip().removeprefix("W/") for one in _list(request, "if-none-match").split(",")}
    if known & {tag, "*"}:  # RFC 9110, section 13.1.2.
        return Response(None, status_code=304, headers=headers)  # type: ignore[arg-type] # a 304 has no body
    return Response(job, headers=headers)


@get("/v1/jobs", opt={"access": Access(customers=True, keys=True)}, tags=["jobs"])
async def list_jobs(
    request: CallerRequest,
    *,
    in_state: InState = None,
    kind: OfKind = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Page[Job]:
    """List jobs, newest first. The caller's own, or with `jobs:read` everybody's."""
    caller = None if request.auth.holds(Scope.JOBS_READ) else request.auth.subject
    wanted = db.jobs.Filter(caller=caller, state=in_state, kind=kind)
    before = api.pages.before_id(cursor)
    found = await reads(request, after=cursor).run(db.jobs.page, wanted, before, limit + 1)
    return api.pages.page(found, limit, key=lambda job: job.id)


@get("/v1/jobs/{job_id:uuid}/events", opt=ANYONE_OR_OWNER, tags=["jobs"])
async def stream_job(request: AnyoneRequest, job_id: FromPath[UUID]) -> Response[Any]:
    """Stream a job as server-sent events. As it is now, then each change until it has finished.

    A stream ends after 25 seconds at the latest; an EventSource reconnects by itself, until a 204 says that it
    has seen the job's end.
    """
    found = await find(runtime(request), request.auth, job_id)
    last = request.headers.get("last-event-id")
    if found.job.is_finished and found.job.state == last:
        return Response(None, status_code=204)
    return ServerSentEvent(_events(runtime(request), found.job, last), headers={"Cache-Control": "no-store"})


async def _events(shared: Runtime, job: Job, last_seen: str | None) -> AsyncIterator[ServerSentEventMessage]:
    """A client that reconnects says which state it saw last, and is not told again."""
    if job.state != last_seen:
        yield _event(job)
    if job.is_finished:
        return
    finished = await shared.waiters.wait(job.id, STREAM_SECONDS)
    if finished is not None:
        yield _event(finished)


def _event(job: Job) -> ServerSentEventMessage:
    return ServerSentEventMessage(data=msgspec.json.encode(job).decode(), event="job", id=job.state.value, retry=1000)


@post(
    "/v1/jobs/{job_id:uuid}/cancel", status_code=200, opt={"access": Access(customers=True, keys=True)}, tags=["jobs"]
)
async def cancel_job(request: CallerRequest, job_id: FromPath[UUID]) -> Response[Job]:
    """Take back a job that is still queued. By its maker or by `jobs:write`; a finished job stays as it is."""
    shared = runtime(request)
    found = await find(shared, request.auth, job_id, scope=Scope.JOBS_WRITE)
    if not await shared.database.run(_cancel, job_id, request.auth.subject, found.caller):
        raise JobFinished
    stored = await shared.database.run(db.jobs.find, job_id)
    if stored is None:
        raise NotFound
    shared.bell.ring(Queue.WEBHOOKS, 1, job_id)  # Somebody may want to be told.
    return Response(stored.job, headers={"ETag": etag(stored.job)})


def _cancel(connection: Connection, job_id: UUID, actor: str, maker: str) -> bool:
    """Take a job back. Somebody else's, only an operator can, whose action is recorded."""
    is_canceled = db.jobs.cancel(connection, job_id)
    if is_canceled and actor != maker:
        action = NewAction(actor=actor, action=Action.JOB_CANCEL, object=str(job_id))
        db.actions.record(connection, action)
    return is_canceled


async def submit(
    request: Request[Any, Any, Any],
    kind: Kind,
    body: Any,
    payload: msgspec.Struct,
    *,
    caller: str,
    callback_url: str | None = None,
    items: int | None = None,
    is_counted: bool = False,
) -> Response[Job]:
    """Accept a job and answer 202, or 200 if the client waited and it has finished.

    `body` is what the client said, for comparing two requests with one key; `payload` is what the worker gets.
    `callback_url` is told of the job's end; `items` is how many a bulk has. `is_counted`: it was held against the
    caller's rate before, because it costs to make a job of it.

    Raises:
        IdempotencyKeyMissing: no such header, or not 1 to 255 visible ASCII characters.
        Invalid: `callback_url` may not be called.
        IdempotencyKeyReused, TooManyOpenJobs, TooManyRequests, Overloaded: see `api.errors`.

    """
    shared = runtime(request)
    submission = Submission(
        id=uuid7(),
        kind=kind,
        queue=QUEUE_OF[kind],
        caller=caller,
        idempotency_key=idempotency_key(request),
        fingerprint=fingerprint(shared, kind, body),
        payload=msgspec.Raw(msgspec.json.encode(payload)),
        items=items,
        callback_url=await shared.callbacks.accept(callback_url, caller),
        trace_context=tracing.context(),
    )
    if not is_counted:
        await shared.limits.hit(request.scope, {Rate.POST: caller})
    wait = preferred_wait(request)
    if wait is None:
        stored = await _accept(shared, submission)
        job = stored.job
    else:
        stored, job = await _submit_and_wait(shared, submission, wait)
    request.scope["state"]["job_id"] = job.id  # For the access log.
    return _answer(stored, submission, job, wait)


async def _submit_and_wait(shared: Runtime, submission: Submission, wait: int) -> tuple[Stored, Job]:
    """Listen before the job exists, so that no notice is missed."""
    finished = asyncio.create_task(shared.waiters.wait(submission.id, wait, may_have_finished=False))
    try:
        stored = await _accept(shared, submission)
        job = stored.job
        if not job.is_finished and job.id == submission.id:
            job = await finished or job
        elif not job.is_finished:
            job = await shared.waiters.wait(job.id, wait) or job
    finally:
        finished.cancel()
    return stored, job


async def _accept(shared: Runtime, submission: Submission) -> Stored:
    intake = shared.intake if submission.items is None else shared.bulk_intake
    return await intake.accept(submission)


def _answer(stored: Stored, submission: Submission, job: Job, wait: int | None) -> Response[Job]:
    headers = {"Location": f"/v1/jobs/{job.id}"}
    if stored.job.id != submission.id:
        headers["Idempotency-Hit"] = "true"
    if job.is_finished:
        headers["ETag"] = etag(job)
    if wait is not None:
        headers["Preference-Applied"] = f"wait={wait}"
        if job.is_finished:
            return Response(job, status_code=200, headers=headers)
    return Response(job, status_code=202, headers=headers | {"Retry-After": RETRY_AFTER})


async def find(shared: Runtime, caller: Caller | None, job_id: UUID, scope: Scope = Scope.JOBS_READ) -> CachedJob:
    """Return a job that the caller may see.

    Raises:
        Unauthenticated: nobody asks for something else than a registration.
        NotFound: there is none, or it is not the caller's.

    """
    found = await shared.cache.get(job_id)
    if found is None:
        stored = await _read(shared, job_id)
        if stored is not None:
            found = CachedJob(job=stored.job, caller=stored.caller)
            await shared.cache.put(found)
    if found is not None and _may_see(found, caller, scope):
        return found
    raise Unauthenticated if caller is None else NotFound


async def _read(shared: Runtime, job_id: UUID) -> Stored | None:
    """A replica's word counts once the job is final: earlier ones, the caller may know better."""
    stored = await shared.reads.glance(db.jobs.find, job_id)
    if stored is None or not stored.job.is_final:
        stored = await shared.database.run(db.jobs.find, job_id)
    return stored


def _may_see(found: CachedJob, caller: Caller | None, scope: Scope) -> bool:
    if caller is not None and (found.caller == caller.subject or caller.holds(scope)):
        return True
    return scope is Scope.JOBS_READ and found.job.kind is Kind.CUSTOMER_REGISTER


def idempotency_key(request: Request[Any, Any, Any]) -> str:
    keys = request.headers.getall("idempotency-key", [])
    if len(keys) != 1 or not KEY.fullmatch(keys[0]):
        raise IdempotencyKeyMissing
    return keys[0]


def fingerprint(shared: Runtime, kind: Kind, body: Any) -> bytes:
    """Return a keyed hash of route and body: it may hold a password, which nobody shall guess from it."""
    said = kind.encode() + b"\0" + msgspec.json.encode(body, order="sorted").replace(NO_CALLBACK, b"")
    return hashlib.blake2b(said, key=shared.settings.index_key.encode()[:64], digest_size=16).digest()


def preferred_wait(request: Request[Any, Any, Any]) -> int | None:
    """Return the seconds of `Prefer: wait=N` (RFC 7240, section 4.3), at most 30; None when not given or 0."""
    match = WAIT.search(_list(request, "prefer"))
    return min(int(match[1]), WAIT_SECONDS_MAX) or None if match else None


def _list(request: Request[Any, Any, Any], name: str) -> str:
    """Return the list that a field has, which may come in several lines (RFC 9110, section 5.3)."""
    return ", ".join(request.headers.getall(name, []))


def etag(job: Job) -> str:
    return f'"{hashlib.blake2b(msgspec.json.encode(job), digest_size=12).hexdigest()}"'


ROUTES = [get_job, list_jobs, stream_job, cancel_job]
