"""How is it doing: for scrapers of the local network."""

import ipaddress
from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.errors import NotFound
from api.runtime import runtime
from domain.access import Access


@get("/metrics", opt={"access": Access(anyone=True)}, tags=["health"])
async def metrics(request: Request[Any, Any, State]) -> Response[bytes]:
    """Report in Prometheus' text format. To private addresses only."""
    if not _is_private(request.client.host if request.client else ""):
        raise NotFound
    now = await runtime(request).gauges.read()
    # Litestar adds the charset to a text; given twice, Prometheus would refuse the answer.
    media_type = CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8")
    return Response(generate_latest() + generate_latest(now), media_type=media_type)


def _is_private(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_private
    except ValueError:  # A load balancer may write whatever it was told.
        return False


ROUTES = [metrics]
