"""Wallets: opening them, their balances and statements."""

from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

import api.jobs
import api.pages
import db.transactions
import db.wallets
from api.errors import Invalid, NotFound
from api.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from api.runtime import CallerRequest, reads
from domain.access import Access, Caller, Scope
from domain.jobs import Job, Kind
from domain.transactions import StatementEntry
from domain.wallets import OpenWallet, Wallet, WalletOpening

READ = {"access": Access(customers=True, scope=Scope.WALLETS_READ)}
WRITE = {"access": Access(customers=True, scope=Scope.WALLETS_WRITE)}
CustomerId = Annotated[UUID | None, QueryParameter(description="Only this customer's wallets.")]


@post("/v1/wallets", status_code=202, opt=WRITE, tags=["wallets"])
async def open_wallet(request: CallerRequest, data: JSONBody[OpenWallet]) -> Response[Job]:
    """Open a wallet. Customers open their own; an API key says for which `customer_id`."""
    opening = WalletOpening(customer_id=_owner(request.auth, data), currency=data.currency, type=data.type)
    caller, callback_url = request.auth.subject, data.callback_url
    return await api.jobs.submit(request, Kind.WALLET_OPEN, data, opening, caller=caller, callback_url=callback_url)


def _owner(caller: Caller, data: OpenWallet) -> UUID:
    if caller.customer_id is None:
        if data.customer_id is None:
            raise Invalid("customer_id", "required with an API key")
        return data.customer_id
    if data.customer_id not in {None, caller.customer_id}:
        raise NotFound
    return caller.customer_id


@get("/v1/wallets", opt=READ, tags=["wallets"])
async def list_wallets(
    request: CallerRequest, customer_id: CustomerId = None, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> Page[Wallet]:
    """List wallets, newest first. Customers see their own."""
    own, before = request.auth.customer_id, api.pages.before_id(cursor)
    if own is not None and customer_id not in {None, own}:
        return Page(items=[], next_cursor=None)
    found = await reads(request, after=cursor).run(db.wallets.page, own or customer_id, before, limit + 1)
    return api.pages.page(found, limit, key=lambda wallet: wallet.id)


@get("/v1/wallets/{wallet_id:uuid}", opt=READ, tags=["wallets"])
async def get_wallet(request: CallerRequest, wallet_id: FromPath[UUID]) -> Wallet:
    """Read a wallet and its balance. Amounts in minor units: posted, held and available."""
    wallet = await reads(request).run(db.wallets.find, wallet_id)
    if wallet is None or (request.auth.customer_id is not None and not request.auth.owns(wallet.customer_id)):
        raise NotFound
    return wallet


@get("/v1/wallets/{wallet_id:uuid}/entries", opt=READ, tags=["wallets"])
async def list_entries(
    request: CallerRequest, wallet_id: FromPath[UUID], limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> Page[StatementEntry]:
    """Read a wallet's statement, newest first. Each line has the balance after it."""
    before = api.pages.before_sequence(cursor)
    wallet = await get_wallet.fn(request, wallet_id)
    found = await reads(request, after=cursor).run(db.transactions.statement, wallet.id, before, limit + 1)
    page = api.pages.page(found, limit, key=lambda line: line.sequence)
    return Page(items=[line.entry for line in page.items], next_cursor=page.next_cursor)


ROUTES = [open_wallet, list_wallets, get_wallet, list_entries]
