"""Secrets that webhooks are signed with: giving out new ones."""

import os
from typing import Any
from uuid import UUID

from litestar import Response, post
from litestar.params import FromPath

import api.webhooks
import db.actions
import db.secrets
import domain.signatures
from api.runtime import CallerRequest, runtime
from db.engine import Connection
from domain.access import Access, Scope
from domain.actions import Action, NewAction
from domain.signatures import SECRET_BYTES
from domain.webhooks import RotatedSecret

WRITE = {"access": Access(scope=Scope.WEBHOOKS_WRITE)}


@post(
    "/v1/webhook-endpoints/{endpoint_id:uuid}/rotate-secret",
    status_code=200,
    opt=WRITE,
    tags=["webhooks"],
)
async def rotate_webhook_secret(request: CallerRequest, endpoint_id: FromPath[UUID]) -> Response[RotatedSecret]:
    """Replace an endpoint's secret. For 24 hours messages carry a signature of the old one too."""
    await api.webhooks.find(request, endpoint_id)
    return await _rotate(request, endpoint_id, Action.WEBHOOK_SECRET_ROTATE)


@post("/v1/callbacks/rotate-secret", status_code=200, opt={"access": Access(keys=True)}, tags=["webhooks"])
async def rotate_callback_secret(request: CallerRequest) -> Response[RotatedSecret]:
    """Replace the secret that callbacks of this API key are signed with. For 24 hours the old one signs too."""
    return await _rotate(request, api.webhooks.key_id(request.auth), Action.CALLBACK_SECRET_ROTATE)


async def _rotate(request: CallerRequest, owner_id: UUID, action: Action) -> Response[RotatedSecret]:
    shared, secret = runtime(request), domain.signatures.new_secret(os.urandom(SECRET_BYTES))
    done = NewAction(actor=request.auth.subject, action=action, object=str(owner_id))
    until = await shared.database.run(_rotate_and_record, owner_id, shared.sealer.seal(secret), done)
    return Response(RotatedSecret(secret=secret, previous_until=until), headers={"Cache-Control": "no-store"})


def _rotate_and_record(connection: Connection, owner_id: UUID, sealed: str, done: NewAction) -> Any:
    db.actions.record(connection, done)
    return db.secrets.rotate(connection, owner_id, sealed)


ROUTES = [rotate_webhook_secret, rotate_callback_secret]
