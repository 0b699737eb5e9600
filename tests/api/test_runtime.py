"""What a process needs to start, and whose wallets it remembers."""

import asyncio
from uuid import UUID, uuid4

from litestar import Litestar

import domain.access
from api.errors import NotFound
from api.runtime import Owners, lifespan
from db.async_engine import AsyncTransactions
from db.engine import transaction
from domain.access import Caller
from settings import Settings
from tests.made import customer, wallet


async def may_spend(config: Settings, caller: Caller, *wallet_ids: UUID) -> list[bool]:
    """Ask of each wallet whether the caller may spend from it."""
    database = AsyncTransactions(config.database_api_url, connections=1)
    owners, answers = Owners(database), []
    try:
        for wallet_id in wallet_ids:
            try:
                await owners.require(caller, wallet_id)
            except NotFound:
                answers.append(False)
            else:
                answers.append(True)
    finally:
        await database.close()
    return answers


def test_a_customer_spends_from_their_own_wallet_and_no_other(fresh: Settings) -> None:
    with transaction(fresh.database_url) as tx:
        owner = customer(tx)
        own, other = wallet(tx, owner), wallet(tx)
    caller = domain.access.customer(owner)

    answers = asyncio.run(may_spend(fresh, caller, own, other, uuid4(), own, other))

    assert answers == [True, False, False, True, False]


def test_a_key_may_name_any_wallet(fresh: Settings) -> None:
    assert asyncio.run(may_spend(fresh, domain.access.key(uuid4(), frozenset()), uuid4())) == [True]


def test_a_process_starts_and_stops_with_all_it_needs(configured: Settings) -> None:
    async def start() -> Settings:
        app = Litestar(openapi_config=None)
        async with lifespan(app):
            result: Settings = app.state.runtime.settings
            return result

    assert asyncio.run(start()) == configured
