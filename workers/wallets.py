"""Wallets: openings, and changes of their states."""

from collections.abc import Collection, Mapping
from uuid import UUID

import db.jobs
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
from workers.transactions import DEFER_SECONDS


def settle(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    """Settle the jobs of wallets. Openings come first, so that what is frozen at once is there.

    All customers are locked at once and before any wallet, then all wallets that are looked at: those that change, and
    those that customers have beside the one that is opened. So two batches wait for each other and never deadlock.
    """
    changes = domain.states.changes(job for job in batch if job.kind is not Kind.WALLET_OPEN)
    openings = domain.wallets.openings(job for job in batch if job.kind is Kind.WALLET_OPEN)
    changed = {one.id for one in changes}
    owners = db.wallets.owners(tx, changed) if changes else {}
    openers = {one.customer_id for one in openings.values()}
    customers = db.states.lock_customers(tx, openers.union(owners.values()))
    beside = db.states.wallet_ids(tx, openers) if openings else {}
    locked = db.wallets.lock(tx, changed.union(beside))
    opened = _open_all(tx, _free(tx, openings, beside, locked.contended), customers) if openings else []
    if own := changed & openings.keys():  # Nobody else can see them yet.
        locked.wallets.update(db.wallets.lock(tx, own).wallets)
    return [*opened, *(states.change_wallets(tx, changes, customers, locked) if changes else [])]


def _free(
    tx: Connection, openings: Mapping[UUID, WalletOpening], beside: Mapping[UUID, UUID], contended: Collection[UUID]
) -> dict[UUID, WalletOpening]:
    """Return the openings that nobody holds up; the others come again. A second wallet asks for the first one."""
    held = {beside[wallet_id] for wallet_id in contended if wallet_id in beside}
    free = {job_id: one for job_id, one in openings.items() if one.customer_id not in held}
    db.jobs.defer(tx, [job_id for job_id in openings if job_id not in free], DEFER_SECONDS)
    return free


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
