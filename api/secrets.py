"""Secrets that webhooks are signed with: giving out new ones."""

import os
from uuid import UUID

from litestar import Response, post
from litestar.params import FromPath

import api.webhooks
import db.secrets
import domain.signatures
from api.runtime import CallerRequest, Runtime, runtime
from domain.access import Access, Scope
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
    return await _rotate(runtime(request), endpoint_id)


@post("/v1/callbacks/rotate-secret", status_code=200, opt={"access": Access(keys=True)}, tags=["webhooks"])
async def rotate_callback_secret(request: CallerRequest) -> Response[RotatedSecret]:
    """Replace the secret that callbacks of this API key are signed with. For 24 hours the old one signs too."""
    return await _rotate(runtime(request), api.webhooks.key_id(request.auth))


async def _rotate(shared: Runtime, owner_id: UUID) -> Response[RotatedSecret]:
    secret = domain.signatures.new_secret(os.urandom(SECRET_BYTES))
    until = await shared.database.run(db.secrets.rotate, owner_id, shared.sealer.seal(secret))
    return Response(RotatedSecret(secret=secret, previous_until=until), headers={"Cache-Control": "no-store"})


ROUTES = [rotate_webhook_secret, rotate_callback_secret]
