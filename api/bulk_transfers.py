"""Bulk transfers: up to a thousand at once, as one job."""

from litestar import Response, post
from litestar.params import JSONBody

import api.jobs
import domain.bulk_transfers
from api.bulk_bodies import BODY_MAX_BYTES, BulkBody
from api.errors import NotFound
from api.limits import Rate
from api.runtime import CallerRequest, runtime
from domain.access import Access, Scope
from domain.bulk_transfers import CreateBulkTransfer
from domain.jobs import Job, Kind

# Litestar's way, not the express one: it knows this route's body and its limit, for 0.3 microseconds an item.
# Counted before the body is read: to find out what is wrong with a large one takes as long as many requests.
BULK = {"access": Access(customers=True, scope=Scope.TRANSACTIONS_WRITE), "rate": Rate.BULK}


@post(
    "/v1/transfers/bulk",
    status_code=202,
    opt=BULK,
    tags=["transactions"],
    dto=BulkBody,
    request_max_body_size=BODY_MAX_BYTES,
)
async def create_bulk_transfer(request: CallerRequest, data: JSONBody[CreateBulkTransfer]) -> Response[Job]:
    """Move money up to 1,000 times with one request. The items are one job and are applied in their order.

    With the mode `independent` each item succeeds or is rejected by itself; with `all_or_nothing` the first one that a
    rule forbids rejects the job, whose error has its `index`, and nothing moves. The job's result says what became of
    each item; lists of jobs and events show its totals only.
    """
    await _require_sources(request, data)
    payload = domain.bulk_transfers.payload(data)
    return await api.jobs.submit(
        request,
        Kind.BULK_TRANSFER_CREATE,
        data,
        payload,
        caller=request.auth.subject,
        callback_url=data.callback_url,
        items=len(data.items),
        is_counted=True,
    )


async def _require_sources(request: CallerRequest, data: CreateBulkTransfer) -> None:
    """Refuse the first item whose source the caller may not spend from."""
    sources = [item.source_wallet_id for item in data.items]
    foreign = await runtime(request).owners.foreign(request.auth, sources)
    for index, source in enumerate(sources if foreign else ()):
        if source in foreign:
            raise NotFound(f"items[{index}].source_wallet_id")


ROUTES = [create_bulk_transfer]
