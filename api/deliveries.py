"""Webhook deliveries: the log, with every attempt, and sending one again."""

from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter
from uuid_utils.compat import uuid7

import api.pages
import api.webhooks
import db.deliveries
import db.webhooks
from api.errors import EndpointDisabled, NotFound
from api.limits import Rate
from api.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from api.runtime import CallerRequest, runtime
from db.deliveries import Filter
from domain.access import Access, Scope
from domain.deliveries import Delivery, DeliveryState
from domain.events import EventType
from domain.jobs import Queue

READ = {"access": Access(scope=Scope.WEBHOOKS_READ)}
WRITE = {"access": Access(scope=Scope.WEBHOOKS_WRITE)}
OfEndpoint = Annotated[UUID | None, QueryParameter(description="Only deliveries to this endpoint.")]
InState = Annotated[DeliveryState | None, QueryParameter(name="state", description="Only deliveries in this state.")]
OfType = Annotated[EventType | None, QueryParameter(description="Only deliveries of events of this type.")]


@get("/v1/webhook-deliveries", opt=READ, tags=["webhooks"])
async def list_webhook_deliveries(
    request: CallerRequest,
    *,
    endpoint_id: OfEndpoint = None,
    in_state: InState = None,
    event_type: OfType = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Page[Delivery]:
    """List deliveries with every attempt, newest first. Those of the caller's own endpoints and callbacks."""
    wanted = Filter(
        key_id=api.webhooks.owner(request.auth), endpoint_id=endpoint_id, state=in_state, event_type=event_type
    )
    before = api.pages.before_id(cursor)
    found = await runtime(request).database.run(db.deliveries.page, wanted, before, limit + 1)
    return api.pages.page(found, limit, key=lambda delivery: delivery.id)


@get("/v1/webhook-deliveries/{delivery_id:uuid}", opt=READ, tags=["webhooks"])
async def get_webhook_delivery(request: CallerRequest, delivery_id: FromPath[UUID]) -> Delivery:
    """Read a delivery. With every attempt: when, how long, what status or error, and how the answer began."""
    return await _find(request, delivery_id)


@post("/v1/webhook-deliveries/{delivery_id:uuid}/redeliver", status_code=202, opt=WRITE, tags=["webhooks"])
async def redeliver_webhook(request: CallerRequest, delivery_id: FromPath[UUID]) -> Response[Delivery]:
    """Send an event again, under the same `webhook-id`.

    Of a pending delivery the next attempt comes at once; a finished one is followed by a new one.
    """
    shared = runtime(request)
    delivery = await _find(request, delivery_id)
    if delivery.endpoint_id is not None:
        owned = await shared.database.run(db.webhooks.find, delivery.endpoint_id)
        if owned is None or not owned.endpoint.enabled:
            raise EndpointDisabled
    await shared.limits.hit(request.scope, {Rate.POST: request.auth.subject})
    if delivery.state is DeliveryState.PENDING:
        delivery = await shared.database.run(db.deliveries.hasten, delivery_id)
    if delivery.state is not DeliveryState.PENDING:
        repeated = await shared.database.run(db.deliveries.repeat, delivery_id, uuid7())
        if repeated is None:
            raise NotFound  # The event that it told of is forgotten.
        delivery = repeated
    shared.bell.ring(Queue.WEBHOOKS, 1, delivery.id)
    headers = {"Location": f"/v1/webhook-deliveries/{delivery.id}"}
    return Response(delivery, status_code=202, headers=headers)


async def _find(request: CallerRequest, delivery_id: UUID) -> Delivery:
    owner = api.webhooks.owner(request.auth)
    found = await runtime(request).database.run(db.deliveries.find, delivery_id, owner)
    if found is None:
        raise NotFound
    return found


ROUTES = [list_webhook_deliveries, get_webhook_delivery, redeliver_webhook]
