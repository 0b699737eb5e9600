"""Webhook endpoints: who wants to be told of what, and the secrets that messages are signed with."""

import os
from datetime import UTC, datetime
from uuid import UUID

from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET
from msgspec.structs import replace
from uuid_utils.compat import uuid7

import api.jobs
import api.pages
import db.deliveries
import db.events
import db.webhooks
import domain.webhooks
from api.errors import EndpointDisabled, Forbidden, NotFound, TooManyEndpoints
from api.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from api.runtime import CallerRequest, Runtime, runtime
from db.engine import Connection
from db.events import NewEvent
from db.webhooks import BY_OWNER, NewEndpoint
from domain.access import Access, Caller, Scope
from domain.addresses import parse_url
from domain.deliveries import Delivery
from domain.events import EndpointTest, EventType
from domain.jobs import Job, Kind, Queue
from domain.webhooks import (
    ENDPOINTS_MAX,
    SECRET_BYTES,
    CreatedWebhookEndpoint,
    CreateWebhookEndpoint,
    Replay,
    ReplayWebhooks,
    RotatedSecret,
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
    shared, secret = runtime(request), _new_secret()
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
    return await find(request, endpoint_id)


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
    owned = await shared.database.run(db.webhooks.update, endpoint_id, change)
    if owned is None:
        raise NotFound
    return owned.endpoint


@delete("/v1/webhook-endpoints/{endpoint_id:uuid}", status_code=204, opt=WRITE, tags=["webhooks"])
async def delete_webhook_endpoint(request: CallerRequest, endpoint_id: FromPath[UUID]) -> None:
    """Remove an endpoint for good, and cancel what waits for it. Its deliveries stay in the log."""
    await find(request, endpoint_id)
    if not await runtime(request).database.run(db.webhooks.delete, endpoint_id):
        raise NotFound


@post("/v1/webhook-endpoints/{endpoint_id:uuid}/rotate-secret", status_code=200, opt=WRITE, tags=["webhooks"])
async def rotate_webhook_secret(request: CallerRequest, endpoint_id: FromPath[UUID]) -> Response[RotatedSecret]:
    """Replace an endpoint's secret. For 24 hours messages carry a signature of the old one too."""
    await find(request, endpoint_id)
    return await _rotate(runtime(request), endpoint_id)


@post("/v1/callbacks/rotate-secret", status_code=200, opt={"access": Access(keys=True)}, tags=["webhooks"])
async def rotate_callback_secret(request: CallerRequest) -> Response[RotatedSecret]:
    """Replace the secret that callbacks of this API key are signed with. For 24 hours the old one signs too."""
    return await _rotate(runtime(request), key_id(request.auth))


@post("/v1/webhook-endpoints/{endpoint_id:uuid}/test", status_code=202, opt=WRITE, tags=["webhooks"])
async def send_webhook_test(request: CallerRequest, endpoint_id: FromPath[UUID]) -> Response[Delivery]:
    """Send a `webhook.test` event to the endpoint, whatever it subscribes to."""
    shared = runtime(request)
    endpoint = await find(request, endpoint_id)
    if not endpoint.enabled:
        raise EndpointDisabled
    await shared.limits.hit("post", request.auth.subject)
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


@post("/v1/webhook-endpoints/{endpoint_id:uuid}/replay", status_code=202, opt=WRITE, tags=["webhooks"])
async def replay_webhooks(
    request: CallerRequest, endpoint_id: FromPath[UUID], data: JSONBody[ReplayWebhooks]
) -> Response[Job]:
    """Send the events of a time again, as far as the endpoint subscribes to them. A job with progress.

    With `only_failed` those only that never arrived, which includes those from while it was switched off.
    """
    await find(request, endpoint_id)
    now = datetime.now(UTC)
    end = now if data.end is None else min(data.end, now)
    payload = Replay(endpoint_id=endpoint_id, begin=data.begin, end=end, only_failed=data.only_failed)
    said = [str(endpoint_id), data]
    return await api.jobs.submit(request, Kind.WEBHOOK_REPLAY, said, payload, caller=request.auth.subject)


async def find(request: CallerRequest, endpoint_id: UUID) -> WebhookEndpoint:
    """Return an endpoint that the caller may see.

    Raises:
        NotFound: there is none, or it is another key's.

    """
    owned = await runtime(request).database.run(db.webhooks.find, endpoint_id)
    if owned is None or owner(request.auth) not in {None, owned.key_id}:
        raise NotFound
    return owned.endpoint


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


async def _rotate(shared: Runtime, owner_id: UUID) -> Response[RotatedSecret]:
    secret = _new_secret()
    until = await shared.database.run(db.webhooks.rotate, owner_id, shared.sealer.seal(secret))
    return Response(RotatedSecret(secret=secret, previous_until=until), headers={"Cache-Control": "no-store"})


def _new_secret() -> str:
    return domain.webhooks.new_secret(os.urandom(SECRET_BYTES))


ROUTES = [
    create_webhook_endpoint,
    list_webhook_endpoints,
    get_webhook_endpoint,
    update_webhook_endpoint,
    delete_webhook_endpoint,
    rotate_webhook_secret,
    rotate_callback_secret,
    send_webhook_test,
    replay_webhooks,
]
