"""Wallets: openings, and changes of their states."""

from collections.abc import Mapping
from uuid import UUID

import db.states
import db.wallets
import domain.states
import domain.wallets
from db.engine import Connection
from domain.customers import CustomerState
from domain.jobs import Claimed, Kind, Outcome, rejected, succeeded
from domain.wallets import NewWallet, WalletOpening
from settings import settings
from workers import states


def settle(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    """Settle the jobs of wallets. Openings come first, so that what is frozen at once is there.

    All customers are locked at once, and before any wallet, so that two batches wait for each other and never deadlock.
    """
    changes = [job for job in batch if job.kind is not Kind.WALLET_OPEN]
    openings = domain.wallets.openings(job for job in batch if job.kind is Kind.WALLET_OPEN)
    owners = db.wallets.owners(tx, {one.id for one in domain.states.changes(changes)}) if changes else {}
    customers = db.states.share_customers(tx, {*owners.values(), *(one.customer_id for one in openings.values())})
    opened = _open_all(tx, openings, customers) if openings else []
    return [*opened, *(states.change_wallets(tx, changes, customers) if changes else [])]


def _open_all(
    tx: Connection, openings: Mapping[UUID, WalletOpening], customers: Mapping[UUID, CustomerState]
) -> list[Outcome]:
    """Open wallets. A wallet's id is the job's, so that none can be opened twice."""
    codes = {job_id: domain.states.refuse_opening(customers.get(one.customer_id)) for job_id, one in openings.items()}
    admitted = {job_id: one for job_id, one in openings.items() if codes[job_id] is None}
    drawn = db.wallets.new_numbers(tx, len(admitted))

    opened = {
        job_id: NewWallet(
            id=job_id,
            customer_id=one.customer_id,
            number=number,
            currency=one.currency,
            type=one.type,
        )
        for (job_id, one), number in zip(admitted.items(), drawn, strict=True)
    }

    db.wallets.insert(tx, list(opened.values()), settings().balance_max)
    return [
        succeeded(job_id, wallet_id=job_id, number=opened[job_id].number) if code is None else rejected(job_id, code)
        for job_id, code in codes.items()
    ]
