"""Money movements: deposits, withdrawals and transfers, single or in bulk, settled together in order of arrival."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

import db.jobs
import db.transactions
import db.velocity
import db.wallets
import domain.bulk_transfers
import domain.ledger
import domain.transactions
import domain.velocity
from db.engine import Connection
from domain.bulk_transfers import Bulk
from domain.jobs import Claimed, Outcome
from domain.transactions import Movement
from domain.velocity import Caps, Limits, parse_amounts
from settings import Settings, settings

DEFER_SECONDS = 5  # A wallet whose lock did not come is asked for that rarely: each try holds up a batch for a second.


def settle(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    """Settle money jobs; those whose wallet somebody else holds for long stay queued, and come again."""
    bulks = domain.bulk_transfers.bulks(batch)
    movements = domain.transactions.movements(batch) | domain.bulk_transfers.movements(bulks)
    ids = db.wallets.ids_by_number(tx, domain.transactions.numbers(movements))
    movements = domain.transactions.resolve(movements, ids)
    limits = _limits(settings())
    locked = db.wallets.lock(tx, domain.transactions.wallet_ids(movements), spent=limits.are_set)
    sources = domain.transactions.source_ids(movements) & locked.wallets.keys()
    spent = db.velocity.lock(tx, sources) if limits.customer.are_set else db.velocity.NOTHING
    contended = locked.contended | spent.contended
    deferred = _held_up(batch, movements, bulks, contended) if contended else set()
    ready = [job for job in batch if job.id not in deferred]
    posted_at = datetime.now(UTC)

    settlement = domain.ledger.settle(
        ready,
        movements,
        locked.wallets,
        posted_at=posted_at,
        seal_key=settings().seal_key.encode(),
        bulks=bulks,
        velocity=domain.velocity.velocity(limits, posted_at, spent.customers) if limits.are_set else None,
    )

    db.transactions.post(tx, settlement)
    db.wallets.update(tx, settlement.wallets, spent=limits.are_set)
    db.velocity.update(tx, settlement.customers)
    db.jobs.defer(tx, list(deferred), DEFER_SECONDS)
    return settlement.outcomes


@lru_cache(maxsize=1)
def _limits(config: Settings) -> Limits:
    return Limits(
        wallet=Caps(
            hour_count=config.wallet_moves_per_hour_max,
            day_count=config.wallet_moves_per_day_max,
            hour_amounts=parse_amounts(config.wallet_amount_per_hour_max),
            day_amounts=parse_amounts(config.wallet_amount_per_day_max),
        ),
        customer=Caps(
            hour_count=config.customer_moves_per_hour_max,
            day_count=config.customer_moves_per_day_max,
            hour_amounts=parse_amounts(config.customer_amount_per_hour_max),
            day_amounts=parse_amounts(config.customer_amount_per_day_max),
        ),
    )


def _held_up(
    batch: list[Claimed], movements: Mapping[UUID, Movement], bulks: Mapping[UUID, Bulk], contended: set[UUID]
) -> set[UUID]:
    """Return the jobs that need a wallet of which nobody can say what is in it."""
    touching = {one for one, movement in movements.items() if domain.transactions.touches(movement, contended)}
    return {job.id for job in batch if not touching.isdisjoint(_transaction_ids(job, bulks))}


def _transaction_ids(job: Claimed, bulks: Mapping[UUID, Bulk]) -> Iterable[UUID]:
    return bulks[job.id].movements if job.id in bulks else (job.id,)
