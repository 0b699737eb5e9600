"""Money in, out and across, and what was posted."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

import api.jobs
import api.pages
import db.transactions
import db.wallets
import domain.transactions
from api.errors import Invalid, NotFound
from api.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from api.runtime import CallerRequest, runtime
from db.transactions import Filter
from domain.access import Access, Scope
from domain.jobs import Job, Kind
from domain.transactions import (
    CreateDeposit,
    CreateTransfer,
    CreateWithdrawal,
    Movement,
    Transaction,
    TransactionKind,
)

DEPOSIT = {"access": Access(scope=Scope.DEPOSITS_WRITE)}
WITHDRAW = {"access": Access(customers=True, scope=Scope.WITHDRAWALS_WRITE)}
TRANSFER = {"access": Access(customers=True, scope=Scope.TRANSACTIONS_WRITE)}
READ = {"access": Access(customers=True, scope=Scope.TRANSACTIONS_READ)}

WalletId = Annotated[UUID | None, QueryParameter(description="Only transactions of this wallet.")]
OfKind = Annotated[TransactionKind | None, QueryParameter(description="Only transactions of this kind.")]
From = Annotated[datetime | None, QueryParameter(name="from", description="Posted then or later (RFC 3339).")]
To = Annotated[datetime | None, QueryParameter(name="to", description="Posted before then (RFC 3339).")]


@post("/v1/deposits", status_code=202, opt=DEPOSIT, tags=["transactions"])
async def create_deposit(request: CallerRequest, data: JSONBody[CreateDeposit]) -> Response[Job]:
    """Pay money into a wallet. Customers cannot: somebody must have taken the cash."""
    movement = domain.transactions.deposit(data)
    return await _submit(request, Kind.DEPOSIT_CREATE, data, movement)


@post("/v1/withdrawals", status_code=202, opt=WITHDRAW, tags=["transactions"])
async def create_withdrawal(request: CallerRequest, data: JSONBody[CreateWithdrawal]) -> Response[Job]:
    """Pay money out of a wallet."""
    await runtime(request).owners.require(request.auth, data.wallet_id)
    movement = domain.transactions.withdrawal(data)
    return await _submit(request, Kind.WITHDRAWAL_CREATE, data, movement)


@post("/v1/transfers", status_code=202, opt=TRANSFER, tags=["transactions"])
async def create_transfer(request: CallerRequest, data: JSONBody[CreateTransfer]) -> Response[Job]:
    """Move money from one wallet to another of the same currency."""
    await runtime(request).owners.require(request.auth, data.source_wallet_id)
    movement = domain.transactions.transfer(data)
    return await _submit(request, Kind.TRANSFER_CREATE, data, movement)


async def _submit(
    request: CallerRequest, kind: Kind, data: CreateDeposit | CreateWithdrawal | CreateTransfer, movement: Movement
) -> Response[Job]:
    caller, callback_url = request.auth.subject, data.callback_url
    return await api.jobs.submit(request, kind, data, movement, caller=caller, callback_url=callback_url)


@get("/v1/transactions/{transaction_id:uuid}", opt=READ, tags=["transactions"])
async def get_transaction(request: CallerRequest, transaction_id: FromPath[UUID]) -> Transaction:
    """Read a transaction. Its id is its job's; customers see those that they are a party of."""
    found = await runtime(request).database.run(db.transactions.find, transaction_id)
    own = await _own_wallets(request)
    if found is None or (own is not None and own.isdisjoint((found.source_wallet_id, found.destination_wallet_id))):
        raise NotFound
    return found


@get("/v1/transactions", opt=READ, tags=["transactions"])
async def list_transactions(
    request: CallerRequest,
    *,
    wallet_id: WalletId = None,
    kind: OfKind = None,
    posted_from: From = None,
    posted_to: To = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Page[Transaction]:
    """List transactions, newest first. Customers see those that they are a party of."""
    own = await _own_wallets(request)
    if own is not None and wallet_id is not None and wallet_id not in own:
        raise NotFound
    wallet_ids = own if wallet_id is None else {wallet_id}
    wanted = Filter(
        wallet_ids=None if wallet_ids is None else list(wallet_ids),
        kind=kind,
        posted_from=_moment("from", posted_from),
        posted_to=_moment("to", posted_to),
    )
    before = api.pages.before_id(cursor)
    found = await runtime(request).database.run(db.transactions.page, wanted, before, limit + 1)
    return api.pages.page(found, limit, key=lambda transaction: transaction.id)


def _moment(name: str, given: datetime | None) -> datetime | None:
    """Refuse a time without an offset (RFC 3339 requires one): it would mean whatever the server's zone is."""
    if given is not None and given.tzinfo is None:
        raise Invalid(name, "must end with Z or an offset")
    return given


async def _own_wallets(request: CallerRequest) -> set[UUID] | None:
    """Return the wallets whose transactions the caller may see; None: every wallet's."""
    customer_id = request.auth.customer_id
    if customer_id is None:
        return None
    return set(await runtime(request).database.run(db.wallets.ids_of, customer_id))


ROUTES = [create_deposit, create_withdrawal, create_transfer, get_transaction, list_transactions]
