"""Money in, out and across, and what was posted."""

from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec.structs import replace

import api.jobs
import api.pages
import db.transactions
import db.wallets
import domain.transactions
from api.errors import Invalid, NotFound
from api.express import EXPRESS
from api.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from api.runtime import CallerRequest, reads, runtime
from db.engine import Connection
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

DEPOSIT = {"access": Access(scope=Scope.DEPOSITS_WRITE), EXPRESS: True}
WITHDRAW = {"access": Access(customers=True, scope=Scope.WITHDRAWALS_WRITE), EXPRESS: True}
TRANSFER = {"access": Access(customers=True, scope=Scope.TRANSACTIONS_WRITE), EXPRESS: True}
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
    found = await reads(request).run(_find, transaction_id, request.auth.customer_id)
    if found is None:
        raise NotFound
    return found


def _find(connection: Connection, transaction_id: UUID, customer_id: UUID | None) -> Transaction | None:
    """Return a transaction that the customer (None: any caller) is a party of."""
    found = db.transactions.find(connection, transaction_id)
    if found is None or customer_id is None:
        return found
    own = db.wallets.ids_of(connection, customer_id)
    return None if {found.source_wallet_id, found.destination_wallet_id}.isdisjoint(own) else found


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
    wanted = Filter(
        wallet_ids=None if wallet_id is None else [wallet_id],
        kind=kind,
        posted_from=_moment(request, "from", posted_from),
        posted_to=_moment(request, "to", posted_to),
    )
    before = api.pages.before_id(cursor)
    seen_by = partial(_page, customer_id=request.auth.customer_id)
    found = await reads(request, after=cursor).run(seen_by, wanted, before, limit + 1)
    if found is None:
        raise NotFound
    return api.pages.page(found, limit, key=lambda transaction: transaction.id)


def _page(
    connection: Connection, wanted: Filter, before: UUID | None, limit: int, *, customer_id: UUID | None
) -> list[Transaction] | None:
    """Narrow a list to a customer's wallets (None: to no one's); return None for a wallet that is not theirs."""
    if customer_id is not None:
        own = db.wallets.ids_of(connection, customer_id)
        if not set(wanted.wallet_ids or ()).issubset(own):
            return None
        wanted = wanted if wanted.wallet_ids else replace(wanted, wallet_ids=own)
    return db.transactions.page(connection, wanted, before, limit)


def _moment(request: CallerRequest, name: str, given: datetime | None) -> datetime | None:
    """Refuse a time without an offset (RFC 3339 requires one): it would mean whatever the server's zone is.

    And a number, which msgspec takes for seconds since 1970: milliseconds would be another millennium.
    """
    if given is None:
        return None
    if given.tzinfo is None:
        raise Invalid(name, "must end with Z or an offset")
    if request.query_params[name][4:5] != "-":
        raise Invalid(name, "must be a time such as 2026-01-31T12:00:00Z")
    return given


ROUTES = [create_deposit, create_withdrawal, create_transfer, get_transaction, list_transactions]
