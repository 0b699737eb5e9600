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
    if request.client is None or not ipaddress.ip_address(request.client.host).is_private:
        raise NotFound
    now = await runtime(request).gauges.read()
    # Litestar adds the charset to a text; given twice, Prometheus would refuse the answer.
    media_type = CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8")
    return Response(generate_latest() + generate_latest(now), media_type=media_type)


ROUTES = [metrics]
