"""Freezing, unfreezing and closing wallets and customers: for operators' keys, and jobs like every other write.

A key that may register customers or open wallets is an integrator's, who is not to end them.
"""

from uuid import UUID

from litestar import Response, post
from litestar.params import FromPath, JSONBody

import api.jobs
from api.runtime import CallerRequest
from domain.access import Access, Scope
from domain.jobs import Job, Kind
from domain.states import ChangeState, StateChange

OPERATORS = {"access": Access(scope=Scope.ALL)}


@post("/v1/wallets/{wallet_id:uuid}/freeze", status_code=202, opt=OPERATORS, tags=["wallets"])
async def freeze_wallet(
    request: CallerRequest, wallet_id: FromPath[UUID], data: JSONBody[ChangeState]
) -> Response[Job]:
    """Freeze a wallet. Nothing moves in or out of it until it is unfrozen."""
    return await _submit(request, Kind.WALLET_FREEZE, wallet_id, data)


@post("/v1/wallets/{wallet_id:uuid}/unfreeze", status_code=202, opt=OPERATORS, tags=["wallets"])
async def unfreeze_wallet(
    request: CallerRequest, wallet_id: FromPath[UUID], data: JSONBody[ChangeState]
) -> Response[Job]:
    """Let money move in and out of a wallet again. Not while its customer is frozen."""
    return await _submit(request, Kind.WALLET_UNFREEZE, wallet_id, data)


@post("/v1/wallets/{wallet_id:uuid}/close", status_code=202, opt=OPERATORS, tags=["wallets"])
async def close_wallet(request: CallerRequest, wallet_id: FromPath[UUID], data: JSONBody[ChangeState]) -> Response[Job]:
    """Close an empty wallet for good. Its statement stays."""
    return await _submit(request, Kind.WALLET_CLOSE, wallet_id, data)


@post("/v1/customers/{customer_id:uuid}/freeze", status_code=202, opt=OPERATORS, tags=["customers"])
async def freeze_customer(
    request: CallerRequest, customer_id: FromPath[UUID], data: JSONBody[ChangeState]
) -> Response[Job]:
    """Freeze a customer and all their wallets. They are logged out everywhere, and cannot log in."""
    return await _submit(request, Kind.CUSTOMER_FREEZE, customer_id, data)


@post("/v1/customers/{customer_id:uuid}/unfreeze", status_code=202, opt=OPERATORS, tags=["customers"])
async def unfreeze_customer(
    request: CallerRequest, customer_id: FromPath[UUID], data: JSONBody[ChangeState]
) -> Response[Job]:
    """Let a customer log in again, and use their wallets. Those that were frozen themselves stay so."""
    return await _submit(request, Kind.CUSTOMER_UNFREEZE, customer_id, data)


@post("/v1/customers/{customer_id:uuid}/close", status_code=202, opt=OPERATORS, tags=["customers"])
async def close_customer(
    request: CallerRequest, customer_id: FromPath[UUID], data: JSONBody[ChangeState]
) -> Response[Job]:
    """Close a customer for good, once all their wallets are closed. They cannot log in or have new wallets."""
    return await _submit(request, Kind.CUSTOMER_CLOSE, customer_id, data)


async def _submit(request: CallerRequest, kind: Kind, id_: UUID, data: ChangeState) -> Response[Job]:
    said, payload = [str(id_), data], StateChange(id=id_, reason=data.reason)
    caller, callback_url = request.auth.subject, data.callback_url
    return await api.jobs.submit(request, kind, said, payload, caller=caller, callback_url=callback_url)


ROUTES = [freeze_wallet, unfreeze_wallet, close_wallet, freeze_customer, unfreeze_customer, close_customer]
