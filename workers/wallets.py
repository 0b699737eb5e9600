"""Wallets: openings, and changes of their states."""

from collections.abc import Mapping
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
    What is of a customer or wallet that somebody holds for long comes again, and so does a change of a wallet whose
    opening is still to come.
    """
    changes = domain.states.changes(job for job in batch if job.kind is not Kind.WALLET_OPEN)
    openings = domain.wallets.openings(job for job in batch if job.kind is Kind.WALLET_OPEN)
    changed = {one.id for one in changes}
    to_come = db.jobs.to_come(tx, Kind.WALLET_OPEN, changed)  # First: what ends meanwhile is found then.
    owners = db.wallets.owners(tx, changed) if changes else {}
    openers = {one.customer_id for one in openings.values()}
    customers = db.states.lock_free_customers(tx, openers.union(owners.values()))
    of_held = {wallet_id for wallet_id, owner in owners.items() if owner in customers.contended}
    beside = db.states.wallet_ids(tx, openers & customers.states.keys()) if openings else {}
    locked = db.wallets.lock(tx, (changed - of_held).union(beside))
    held = customers.contended.union(beside[one] for one in locked.contended & beside.keys())
    free = _free(tx, openings, held)
    opened = _open_all(tx, free, customers.states) if free else []
    if own := changed & free.keys():  # Nobody else can see them yet.
        locked.wallets.update(db.wallets.lock(tx, own).wallets)
    if not changes:
        return opened
    not_yet = of_held | locked.contended | (to_come - free.keys())
    return [
        *opened,
        *states.change_wallets(tx, changes, not_yet, locked=locked.wallets.keys(), customers=customers.states),
    ]


def _free(tx: Connection, openings: Mapping[UUID, WalletOpening], held: set[UUID]) -> dict[UUID, WalletOpening]:
    """Return the openings for customers whom nobody holds up; the others come again."""
    free = {job_id: one for job_id, one in openings.items() if one.customer_id not in held}
    db.jobs.defer(tx, list(openings.keys() - free.keys()), DEFER_SECONDS)
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
