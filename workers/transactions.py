"""Money movements: deposits, withdrawals and transfers, settled together in order of arrival."""

from datetime import UTC, datetime

import db.transactions
import db.wallets
import domain.ledger
import domain.transactions
from db.engine import Connection
from domain.jobs import Claimed, Outcome
from settings import settings


def settle(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    movements = domain.transactions.movements(batch)
    ids = db.wallets.ids_by_number(tx, domain.transactions.numbers(movements))
    movements = domain.transactions.resolve(movements, ids)
    wallets = db.wallets.lock(tx, domain.transactions.wallet_ids(movements))

    settlement = domain.ledger.settle(
        batch, movements, wallets, posted_at=datetime.now(UTC), seal_key=settings().seal_key.encode()
    )

    db.transactions.post(tx, settlement)
    db.wallets.update(tx, settlement.wallets)
    return settlement.outcomes
