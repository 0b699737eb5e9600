"""Replays: sending events of the past to a webhook endpoint again."""

from datetime import UTC, datetime
from uuid import UUID

from litestar import Response, post
from litestar.params import FromPath, JSONBody

import api.jobs
import api.webhooks
from api.runtime import CallerRequest
from domain.access import Access, Scope
from domain.jobs import Job, Kind
from domain.replays import Replay, ReplayWebhooks

WRITE = {"access": Access(scope=Scope.WEBHOOKS_WRITE)}


@post(
    "/v1/webhook-endpoints/{endpoint_id:uuid}/replay",
    status_code=202,
    opt=WRITE,
    tags=["webhooks"],
)
async def replay_webhooks(
    request: CallerRequest, endpoint_id: FromPath[UUID], data: JSONBody[ReplayWebhooks]
) -> Response[Job]:
    """Send the events of a time again, as far as the endpoint subscribes to them. A job with progress.

    With `only_failed` those only that never arrived, which includes those from while it was switched off.
    """
    await api.webhooks.find(request, endpoint_id)
    now = datetime.now(UTC)
    end = now if data.end is None else min(data.end, now)
    payload = Replay(endpoint_id=endpoint_id, begin=data.begin, end=end, only_failed=data.only_failed)
    said, caller, callback_url = [str(endpoint_id), data], request.auth.subject, data.callback_url
    return await api.jobs.submit(request, Kind.WEBHOOK_REPLAY, said, payload, caller=caller, callback_url=callback_url)


ROUTES = [replay_webhooks]
