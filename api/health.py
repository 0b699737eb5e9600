"""Is it alive, is it ready, how is it doing: for probes and scrapers of the local network."""

import ipaddress
from typing import Any

import msgspec
import redis.asyncio
from litestar import Request, Response, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

import db.engine
import db.outbox
from api.errors import NotFound
from api.runtime import Runtime, runtime
from domain.access import Access

ANYONE = {"access": Access(anyone=True)}
TIMEOUT_SECONDS = 1.0


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`postgres` must answer for the API to be ready; without `redis` jobs are accepted all the same."""

    status: str
    postgres: str
    redis: str


@get("/health/live", opt=ANYONE, tags=["health"])
async def live() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@get("/health/ready", opt=ANYONE, tags=["health"])
async def ready(request: Request[Any, Any, State]) -> Response[Health]:
    """Tell whether requests can be accepted. If not, the body says which dependency is down."""
    postgres, broker = await _postgres(runtime(request)), await _redis(runtime(request))
    up = postgres == broker == "up"
    body = Health(status="ok" if up else "unavailable", postgres=postgres, redis=broker)
    return Response(body, status_code=200 if up else 503, headers={} if up else {"Retry-After": "1"})


async def _postgres(shared: Runtime) -> str:
    try:
        await shared.database.run(db.engine.ping)
    except (db.engine.DatabaseError, OSError, TimeoutError):
        return "down"
    return "up"


async def _redis(shared: Runtime) -> str:
    client = redis.asyncio.Redis.from_url(
        shared.settings.redis_url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
    )
    try:
        async with client:
            await client.ping()
    except (redis.RedisError, OSError):
        return "down"
    return "up"


@get("/metrics", opt=ANYONE, tags=["health"])
async def metrics(request: Request[Any, Any, State]) -> Response[bytes]:
    """Report in Prometheus' text format. To private addresses only."""
    if request.client is None or not ipaddress.ip_address(request.client.host).is_private:
        raise NotFound
    await _measure_webhooks(runtime(request))
    # Litestar adds the charset to a text; given twice, Prometheus would refuse the answer.
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8"))


deliveries = Gauge("tekana_webhook_attempts", "Attempts to deliver so far, by what came of them.", ["outcome"])
oldest_due = Gauge("tekana_webhook_oldest_due_seconds", "How long the oldest due delivery has been waiting.")


async def _measure_webhooks(shared: Runtime) -> None:
    """Read the figures of all workers; without the database they stay as they were."""
    try:
        found = await shared.database.run(db.outbox.totals)
    except (db.engine.DatabaseError, OSError, TimeoutError):
        return
    oldest_due.set(found.oldest_due_seconds)
    for outcome, count in found.by_outcome.items():
        deliveries.labels(outcome).set(count)


ROUTES = [live, ready, metrics]
