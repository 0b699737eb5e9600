"""What the handlers of one process share: made when it starts, ended when it stops."""

import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
import structlog
from cachetools import LRUCache
from litestar import Litestar, Request
from litestar.datastructures import State
from prometheus_client import REGISTRY

import api.caches
import api.cohorts
import db.wallets
import exposed
import process
from api.access import Authenticator
from api.cache import JobCache
from api.callbacks import Callbacks
from api.errors import NotFound
from api.gauges import Gauges
from api.intake import Intake
from api.limits import Limits
from api.lockouts import Lockouts
from api.memory import give_back_large_blocks
from api.open_jobs import OpenJobs
from api.passwords import Passwords
from api.pii import Vault
from api.pressure import Pressure
from api.reads import Reads
from api.replica import DEADLINE_SECONDS, Replica
from api.together import Together
from api.waiters import Waiters
from db.async_engine import AsyncTransactions
from domain.access import Caller
from domain.cohorts import Cohort
from domain.pressure import Marks
from sealing import Sealer
from settings import Settings, settings
from workers.bell import Bell

NO_CACHE = re.compile(r"(?:^|[,\s])no-cache(?:$|[,\s=])", re.IGNORECASE)
BULKS_FLUSH_MAX = 4  # In one INSERT: 4,000 items, 40 ms. More would only lengthen the wait of the next ones.
BULKS_WAITING_MAX = 32  # Of 250 kB each, 1 MB at most: who comes later is told at once.
OWNERS_MAX = 200_000  # Wallets whose owner is remembered: 40 MB at most.

log = structlog.get_logger()

CallerRequest: TypeAlias = Request[Any, Caller, State]
AnyoneRequest: TypeAlias = Request[Any, Caller | None, State]


class Owners:
    """Whose wallet is it? That never changes, so an answer is kept."""

    def __init__(self, database: AsyncTransactions) -> None:
        self._database = database
        self._owners = Together(database, db.wallets.owners)
        self._known: LRUCache[UUID, UUID] = LRUCache(OWNERS_MAX)

    async def require(self, caller: Caller, wallet_id: UUID) -> None:
        """Let API keys pass, whose scope was checked, and customers for a wallet of their own.

        Raises:
            NotFound: it is another customer's, or nobody's.

        """
        if caller.customer_id is None:
            return
        owner = api.caches.find(self._known, wallet_id)
        if owner is None:
            owner = await self._owners.find(wallet_id)
            if owner is not None:
                self._known[wallet_id] = owner
        if not caller.owns(owner):
            raise NotFound

    async def foreign(self, caller: Caller, wallet_ids: Collection[UUID]) -> set[UUID]:
        """Return those of the wallets that `require` would refuse; one query finds out about all that are new."""
        if caller.customer_id is None:
            return set()
        asked = set(wallet_ids)
        known = {one: owner for one in asked if (owner := self._known.get(one)) is not None}
        if unknown := asked - known.keys():
            found = await self._database.run(db.wallets.owners, unknown)
            self._known.update(found)
            known |= found
        return {one for one in asked if not caller.owns(known.get(one))}


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    settings: Settings
    database: AsyncTransactions
    reads: Reads
    bell: Bell
    intake: Intake
    bulk_intake: Intake  # Beside the other: a bulk is large enough by itself, and nobody waits behind it.
    gauges: Gauges
    waiters: Waiters
    cache: JobCache
    limits: Limits
    lockouts: Lockouts
    owners: Owners
    cohort: Cohort
    authenticator: Authenticator
    passwords: Passwords
    vault: Vault
    callbacks: Callbacks
    sealer: Sealer  # Of webhook secrets.


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Connect what the handlers need, and let it go in the opposite order."""
    config = settings()
    cohort = api.cohorts.configured(config)
    database = AsyncTransactions(config.database_api_url, config.api_database_connections)
    replica = _replica(config, database)
    if replica is not None:
        replica.start()
    bell = Bell()
    pressure = Pressure(database, _marks(config))
    pressure.start()
    open_jobs = OpenJobs(config.open_jobs_max)
    intake = Intake(database, bell, open_jobs, pressure=pressure)
    bulk_intake = Intake(
        database,
        bell,
        open_jobs,
        pressure=pressure,
        flush_max=BULKS_FLUSH_MAX,
        waiting_max=BULKS_WAITING_MAX,
    )
    exposed.prepare(REGISTRY)
    runtime = Runtime(
        settings=config,
        database=database,
        reads=Reads(database, replica),
        bell=bell,
        intake=intake,
        bulk_intake=bulk_intake,
        gauges=Gauges(database, intake, bulk_intake, replica=replica),
        waiters=Waiters(database, config.redis_url),
        cache=JobCache(config.redis_url),
        limits=Limits(config),
        lockouts=Lockouts(config),
        owners=Owners(database),
        cohort=cohort,
        authenticator=Authenticator(config, database),
        passwords=Passwords(config.passwords_waiting_max),
        vault=Vault(config.pii_keys, config.index_key),
        callbacks=Callbacks(database, allow_loopback=config.webhook_allow_loopback),
        sealer=Sealer(config.webhook_keys, "WEBHOOK_KEYS"),
    )
    app.state.runtime = runtime
    process.collect_rarely()
    give_back_large_blocks()
    try:
        yield
    finally:
        await runtime.waiters.stop()
        await runtime.intake.stop()
        await runtime.bulk_intake.stop()
        await pressure.close()
        await runtime.authenticator.stop()
        await runtime.cache.close()
        await runtime.limits.close()
        await runtime.lockouts.close()
        await runtime.reads.close()
        await database.close()
        bell.stop()


def _marks(config: Settings) -> Marks:
    return Marks(
        jobs_max=config.queue_jobs_max, age_seconds_max=config.queue_age_seconds_max, batch_max=config.batch_max
    )


def _replica(config: Settings, primary: AsyncTransactions) -> Replica | None:
    if not config.database_read_url:
        return None
    connections = config.api_database_connections
    database = AsyncTransactions(config.database_read_url, connections, deadline_seconds=DEADLINE_SECONDS)
    return Replica(primary, database, config.database_read_age_seconds_max)


def runtime(request: Request[Any, Any, Any]) -> Runtime:
    result: Runtime = request.app.state.runtime
    return result


def reads(request: Request[Any, Any, Any], *, after: str | None = None) -> Reads:
    """Return where to read; who must not get an older answer says `no-cache` (RFC 9111, section 5.2.1.4).

    The page `after` another one is read on the primary: a replica may not have yet what comes between the two.
    """
    shared = runtime(request)
    is_current = after is not None or NO_CACHE.search(request.headers.get("cache-control", ""))
    return shared.reads.current() if is_current else shared.reads
