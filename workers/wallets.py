"""Wallet openings."""

import db.customers
import db.wallets
import domain.wallets
from db.engine import Connection
from domain.errors import Rejection
from domain.jobs import Claimed, Outcome, rejected, succeeded
from domain.wallets import NewWallet
from settings import settings


def open_all(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    """Settle `wallet.open` jobs. A wallet's id is the job's, so that none can be opened twice."""
    openings = domain.wallets.openings(batch)
    customers = db.customers.existing(tx, {one.customer_id for one in openings.values()})
    drawn = db.wallets.new_numbers(tx, len(openings))

    opened = [
        NewWallet(
            id=job_id,
            customer_id=one.customer_id,
            number=number,
            currency=one.currency,
            type=one.type,
        )
        for (job_id, one), number in zip(openings.items(), drawn, strict=True)
        if one.customer_id in customers
    ]

    db.wallets.insert(tx, opened, settings().balance_max)
    numbers = {wallet.id: wallet.number for wallet in opened}
    return [
        succeeded(job_id, wallet_id=job_id, number=numbers[job_id])
        if job_id in numbers
        else rejected(job_id, Rejection.CUSTOMER_NOT_FOUND)
        for job_id in openings
    ]
