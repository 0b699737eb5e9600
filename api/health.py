"""Is it alive, is it ready: for probes of the local network."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import State

import db.engine
import redis_clients
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
    client = redis_clients.connect_async(
        shared.settings.redis_url, timeout_seconds=TIMEOUT_SECONDS, connect_seconds=TIMEOUT_SECONDS
    )
    try:
        async with client:
            is_up = await client.ping()
    except Exception:  # noqa: BLE001 - whoever answers as Redis never would is none
        return "down"
    return "up" if is_up is True else "down"


ROUTES = [live, ready]
