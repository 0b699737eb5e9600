"""Money movements: deposits, withdrawals and transfers, settled together in order of arrival."""

from datetime import UTC, datetime

import db.jobs
import db.transactions
import db.wallets
import domain.ledger
import domain.transactions
from db.engine import Connection
from domain.jobs import Claimed, Outcome
from settings import settings

DEFER_SECONDS = 5  # A wallet whose lock did not come is asked for that rarely: each try holds up a batch for a second.


def settle(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    """Settle money jobs; those whose wallet somebody else holds for long stay queued, and come again."""
    movements = domain.transactions.movements(batch)
    ids = db.wallets.ids_by_number(tx, domain.transactions.numbers(movements))
    movements = domain.transactions.resolve(movements, ids)
    locked = db.wallets.lock(tx, domain.transactions.wallet_ids(movements))
    deferred = {job_id for job_id, one in movements.items() if domain.transactions.touches(one, locked.contended)}
    ready = [job for job in batch if job.id not in deferred]

    settlement = domain.ledger.settle(
        ready, movements, locked.wallets, posted_at=datetime.now(UTC), seal_key=settings().seal_key.encode()
    )

    db.transactions.post(tx, settlement)
    db.wallets.update(tx, settlement.wallets)
    db.jobs.defer(tx, list(deferred), DEFER_SECONDS)
    return settlement.outcomes
