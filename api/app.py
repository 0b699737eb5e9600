"""The HTTP application: every route, one guard, one error handler, strict bodies."""

from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.types import ASGIApp

from api import customers, health, jobs, sessions, transactions, wallets
from api.access import authorise
from api.bodies import BODY_MAX_BYTES, StrictBody
from api.errors import to_problem
from api.observed import Observed
from api.runtime import lifespan

ROUTES = [
    *customers.ROUTES,
    *sessions.ROUTES,
    *wallets.ROUTES,
    *transactions.ROUTES,
    *jobs.ROUTES,
    *health.ROUTES,
]


def create_app() -> ASGIApp:
    return Observed(create_litestar())


def create_litestar() -> Litestar:
    return Litestar(
        route_handlers=ROUTES,
        lifespan=[lifespan],
        guards=[authorise],
        exception_handlers={Exception: to_problem},
        dto=StrictBody,
        return_dto=None,
        request_max_body_size=BODY_MAX_BYTES,
        openapi_config=OpenAPIConfig(title="Tekana", version="1.0.0"),
    )
