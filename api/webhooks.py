"""Webhook endpoints: who wants to be told of what."""

import os
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from msgspec.structs import replace
from uuid_utils.compat import uuid7

import api.pages
import db.actions
import db.deliveries
import db.events
import db.webhooks
import domain.signatures
from api.errors import EndpointDisabled, Forbidden, NotFound, TooManyEndpoints
from api.limits import Rate
from api.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from api.runtime import CallerRequest, runtime
from db.engine import Connection
from db.events import NewEvent
from db.webhooks import BY_OWNER, NewEndpoint, Owned
from domain.access import Access, Caller, Scope
from domain.actions import Action, NewAction
from domain.addresses import parse_url
from domain.deliveries import Delivery
from domain.events import EndpointTest, EventType
from domain.jobs import Queue
from domain.signatures import SECRET_BYTES
from domain.webhooks import (
    ENDPOINTS_MAX,
    CreatedWebhookEndpoint,
    CreateWebhookEndpoint,
    UpdateWebhookEndpoint,
    WebhookEndpoint,
)

READ = {"access": Access(scope=Scope.WEBHOOKS_READ)}
WRITE = {"access": Access(scope=Scope.WEBHOOKS_WRITE)}


@post("/v1/webhook-endpoints", status_code=201, opt=WRITE, tags=["webhooks"])
async def create_webhook_endpoint(
    request: CallerRequest, data: JSONBody[CreateWebhookEndpoint]
) -> Response[CreatedWebhookEndpoint]:
    """Add an endpoint, up to 20 for a key. Its secret is shown in this answer only."""
    shared, secret = runtime(request), domain.signatures.new_secret(os.urandom(SECRET_BYTES))
    endpoint = NewEndpoint(
        id=uuid7(),
        key_id=key_id(request.auth),
        url=parse_url(data.url, "url", allow_loopback=shared.settings.webhook_allow_loopback),
        event_types=data.event_types,
        description=data.description,
        enabled=data.enabled,
        disabled_reason=None if data.enabled else BY_OWNER,
    )
    sealed = shared.sealer.seal(secret)
    owned = await shared.database.run(db.webhooks.insert, endpoint, sealed, ENDPOINTS_MAX)
    if owned is None:
        raise TooManyEndpoints
    shown = {name: getattr(owned.endpoint, name) for name in WebhookEndpoint.__struct_fields__}
    headers = {"Location": f"/v1/webhook-endpoints/{endpoint.id}", "Cache-Control": "no-store"}
    return Response(CreatedWebhookEndpoint(**shown, secret=secret), status_code=201, headers=headers)


@get("/v1/webhook-endpoints", opt=READ, tags=["webhooks"])
async def list_webhook_endpoints(
    request: CallerRequest, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> Page[WebhookEndpoint]:
    """List endpoints, newest first. The caller's own; an operator sees all."""
    before = api.pages.before_id(cursor)
    found = await runtime(request).database.run(db.webhooks.page, owner(request.auth), before, limit + 1)
    return api.pages.page(found, limit, key=lambda endpoint: endpoint.id)


@get("/v1/webhook-endpoints/{endpoint_id:uuid}", opt=READ, tags=["webhooks"])
async def get_webhook_endpoint(request: CallerRequest, endpoint_id: FromPath[UUID]) -> WebhookEndpoint:
    """Read an endpoint. Without its secret."""
    owned = await find(request, endpoint_id)
    return owned.endpoint


@patch("/v1/webhook-endpoints/{endpoint_id:uuid}", opt=WRITE, tags=["webhooks"])
async def update_webhook_endpoint(
    request: CallerRequest, endpoint_id: FromPath[UUID], data: JSONBody[UpdateWebhookEndpoint]
) -> WebhookEndpoint:
    """Change an endpoint; what is not given stays.

    Switching it off cancels what waits for it; switched on again, it hears what happens from then on, and a replay
    brings the rest.
    """
    shared = runtime(request)
    await find(request, endpoint_id)
    change = data
    if data.url is not UNSET:
        url = parse_url(data.url, "url", allow_loopback=shared.settings.webhook_allow_loopback)
        change = replace(data, url=url)
    owned = await shared.database.run(_update, endpoint_id, change, request.auth)
    if owned is None:
        raise NotFound
    return owned.endpoint


def _update(connection: Connection, endpoint_id: UUID, change: UpdateWebhookEndpoint, caller: Caller) -> Owned | None:
    owned = db.webhooks.update(connection, endpoint_id, change)
    if owned is not None:
        _record(connection, owned, caller, Action.WEBHOOK_ENDPOINT_UPDATE, **msgspec.to_builtins(change))
    return owned


@delete("/v1/webhook-endpoints/{endpoint_id:uuid}", status_code=204, opt=WRITE, tags=["webhooks"])
async def delete_webhook_endpoint(request: CallerRequest, endpoint_id: FromPath[UUID]) -> None:
    """Remove an endpoint for good, and cancel what waits for it. Its deliveries stay in the log."""
    owned = await find(request, endpoint_id)
    if not await runtime(request).database.run(_delete, owned, request.auth):
        raise NotFound


def _delete(connection: Connection, owned: Owned, caller: Caller) -> bool:
    is_deleted = db.webhooks.delete(connection, owned.endpoint.id)
    if is_deleted:
        _record(connection, owned, caller, Action.WEBHOOK_ENDPOINT_DELETE)
    return is_deleted


def _record(connection: Connection, owned: Owned, caller: Caller, action: Action, **details: Any) -> None:
    """Log what was done to another key's endpoint, which only an operator can."""
    if caller.key_id != owned.key_id:
        done = NewAction(actor=caller.subject, action=action, object=str(owned.endpoint.id), details=details)
        db.actions.record(connection, done)


@post("/v1/webhook-endpoints/{endpoint_id:uuid}/test", status_code=202, opt=WRITE, tags=["webhooks"])
async def send_webhook_test(request: CallerRequest, endpoint_id: FromPath[UUID]) -> Response[Delivery]:
    """Send a `webhook.test` event to the endpoint, whatever it subscribes to."""
    shared = runtime(request)
    owned = await find(request, endpoint_id)
    if not owned.endpoint.enabled:
        raise EndpointDisabled
    await shared.limits.hit(request.scope, {Rate.POST: request.auth.subject})
    delivery = await shared.database.run(_insert_test, endpoint_id, request.auth.subject)
    shared.bell.ring(Queue.WEBHOOKS, 1, delivery.id)
    headers = {"Location": f"/v1/webhook-deliveries/{delivery.id}"}
    return Response(delivery, status_code=202, headers=headers)


def _insert_test(connection: Connection, endpoint_id: UUID, subject: str) -> Delivery:
    event = NewEvent(
        id=uuid7(),
        type=EventType.WEBHOOK_TEST,
        occurred_at=datetime.now(UTC),
        caller=subject,
        data=EndpointTest(endpoint_id=endpoint_id),
    )
    db.events.record(connection, event)
    return db.deliveries.insert(connection, uuid7(), event.id, endpoint_id)


async def find(request: CallerRequest, endpoint_id: UUID) -> Owned:
    """Return an endpoint that the caller may see.

    Raises:
        NotFound: there is none, or it is another key's.

    """
    owned = await runtime(request).database.run(db.webhooks.find, endpoint_id)
    if owned is None or owner(request.auth) not in {None, owned.key_id}:
        raise NotFound
    return owned


def owner(caller: Caller) -> UUID | None:
    """Return whose endpoints and deliveries the caller may see; None: everybody's."""
    return None if caller.holds(Scope.ALL) else key_id(caller)


def key_id(caller: Caller) -> UUID:
    """Return the API key that calls.

    Raises:
        Forbidden: it is a customer.

    """
    if caller.key_id is None:
        raise Forbidden
    return caller.key_id


ROUTES = [
    create_webhook_endpoint,
    list_webhook_endpoints,
    get_webhook_endpoint,
    update_webhook_endpoint,
    delete_webhook_endpoint,
    send_webhook_test,
]
