"""The HTTP application: every route, one guard, one error handler, strict bodies."""

from typing import Any

from litestar import Litestar, Request
from litestar.types import ASGIApp, Receive

import tracing
from api import docs
from api.access import authorise
from api.access_log import access_log
from api.bodies import BODY_MAX_BYTES, StrictBody
from api.errors import RequestTimeout, to_problem
from api.express import Express
from api.observed import Observed
from api.queries import require_plain
from api.routes import ROUTES
from api.runtime import lifespan, runtime
from api.traced import Traced
from settings import settings


def create_app() -> ASGIApp:
    litestar = create_litestar()
    observed = Observed(Express(litestar), litestar, access_log(settings()))
    return Traced(observed) if tracing.is_on() else observed


def create_litestar() -> Litestar:
    return Litestar(
        route_handlers=[*ROUTES, *docs.ROUTES],
        lifespan=[lifespan],
        before_request=_admit,
        exception_handlers={Exception: to_problem},
        dto=StrictBody,
        return_dto=None,
        request_max_body_size=BODY_MAX_BYTES,
        logging_config=None,  # Litestar would set up handlers of its own: see `logs`.
        openapi_config=None,  # Litestar's pages load from other hosts; ours are in `api.docs`.
    )


async def _admit(request: Request[Any, Any, Any]) -> None:
    """Ask before every route but the express ones, which have no query, who calls and then what for.

    A route with a `rate` of its own in its `opt` is counted by it here, before its body is read.
    """
    request.receive = _to_the_end(request.receive)
    await authorise(request)
    require_plain(request)
    if rate := request.route_handler.opt.get("rate"):
        await runtime(request).limits.hit(request.scope, {rate: request.auth.subject})


def _to_the_end(receive: Receive) -> Receive:
    """Return what reads a body, of whose end Litestar would say that it is an error of ours if it never comes."""

    async def received() -> Any:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestTimeout
        return message

    return received
