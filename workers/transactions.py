"""Money movements: deposits, withdrawals and transfers, single or in bulk, settled together in order of arrival."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

import db.jobs
import db.transactions
import db.wallets
import domain.bulk_transfers
import domain.ledger
import domain.transactions
from db.engine import Connection
from domain.bulk_transfers import Bulk
from domain.jobs import Claimed, Outcome
from domain.transactions import Movement
from settings import settings

DEFER_SECONDS = 5  # A wallet whose lock did not come is asked for that rarely: each try holds up a batch for a second.


def settle(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    """Settle money jobs; those whose wallet somebody else holds for long stay queued, and come again."""
    bulks = domain.bulk_transfers.bulks(batch)
    movements = domain.transactions.movements(batch) | domain.bulk_transfers.movements(bulks)
    ids = db.wallets.ids_by_number(tx, domain.transactions.numbers(movements))
    movements = domain.transactions.resolve(movements, ids)
    locked = db.wallets.lock(tx, domain.transactions.wallet_ids(movements))
    deferred = _held_up(batch, movements, bulks, locked.contended) if locked.contended else set()
    ready = [job for job in batch if job.id not in deferred]

    settlement = domain.ledger.settle(
        ready,
        movements,
        locked.wallets,
        posted_at=datetime.now(UTC),
        seal_key=settings().seal_key.encode(),
        bulks=bulks,
    )

    db.transactions.post(tx, settlement)
    db.wallets.update(tx, settlement.wallets)
    db.jobs.defer(tx, list(deferred), DEFER_SECONDS)
    return settlement.outcomes


def _held_up(
    batch: list[Claimed], movements: Mapping[UUID, Movement], bulks: Mapping[UUID, Bulk], contended: set[UUID]
) -> set[UUID]:
    """Return the jobs that need a wallet of which nobody can say what is in it."""
    touching = {one for one, movement in movements.items() if domain.transactions.touches(movement, contended)}
    return {job.id for job in batch if not touching.isdisjoint(_transaction_ids(job, bulks))}


def _transaction_ids(job: Claimed, bulks: Mapping[UUID, Bulk]) -> Iterable[UUID]:
    return bulks[job.id].movements if job.id in bulks else (job.id,)
