"""How is it doing: for scrapers of the local network."""

import ipaddress
from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

import db.engine
import db.outbox
from api.errors import NotFound
from api.runtime import Runtime, runtime
from domain.access import Access


@get("/metrics", opt={"access": Access(anyone=True)}, tags=["health"])
async def metrics(request: Request[Any, Any, State]) -> Response[bytes]:
    """Report in Prometheus' text format. To private addresses only."""
    if request.client is None or not ipaddress.ip_address(request.client.host).is_private:
        raise NotFound
    await _measure_webhooks(runtime(request))
    # Litestar adds the charset to a text; given twice, Prometheus would refuse the answer.
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8"))


attempts = Gauge("tekana_webhook_attempts", "Attempts to deliver so far, by what came of them.", ["outcome"])
oldest_due = Gauge("tekana_webhook_oldest_due_seconds", "How long the oldest due delivery has been waiting.")


async def _measure_webhooks(shared: Runtime) -> None:
    """Read the figures of all workers; without the database they stay as they were."""
    try:
        found = await shared.database.run(db.outbox.totals)
    except (db.engine.DatabaseError, OSError, TimeoutError):
        return
    oldest_due.set(found.oldest_due_seconds)
    for outcome, count in found.by_outcome.items():
        attempts.labels(outcome).set(count)


ROUTES = [metrics]
