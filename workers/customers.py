"""Customers: registrations, with a first wallet if one is asked for, and changes of their states."""

from uuid import UUID

from uuid_utils.compat import uuid7

import db.customers
import db.wallets
import domain.customers
from db.engine import Connection
from domain.customers import Registration
from domain.jobs import Claimed, Kind, Outcome, rejected, succeeded
from domain.wallets import NewWallet
from settings import settings
from workers import states


def settle(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    """Settle the jobs of customers. Registrations come first, so that who is frozen at once is there."""
    registrations = [job for job in batch if job.kind is Kind.CUSTOMER_REGISTER]
    changes = [job for job in batch if job.kind is not Kind.CUSTOMER_REGISTER]
    return [
        *(_register(tx, registrations) if registrations else []),
        *(states.change_customers(tx, changes, {job.id for job in registrations}) if changes else []),
    ]


def _register(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    """Register customers. A customer's id is the job's, so that none can be made twice."""
    registrations = domain.customers.registrations(batch)
    taken = db.customers.taken(tx, registrations.values())

    decision = domain.customers.decide(registrations, taken.emails, taken.national_ids)

    db.customers.insert(tx, decision.registered)
    opened = _first_wallets(tx, decision.registered)
    db.wallets.insert(tx, list(opened.values()), settings().balance_max)
    return [
        *(rejected(job_id, code) for job_id, code in decision.rejected.items()),
        *(_succeeded(job_id, opened.get(job_id)) for job_id in decision.registered),
    ]


def _first_wallets(tx: Connection, registered: dict[UUID, Registration]) -> dict[UUID, NewWallet]:
    wanted = {customer_id: one.wallet for customer_id, one in registered.items() if one.wallet is not None}
    numbers = db.wallets.new_numbers(tx, len(wanted))
    return {
        customer_id: NewWallet(
            id=uuid7(),
            customer_id=customer_id,
            number=number,
            currency=wallet.currency,
            type=wallet.type,
        )
        for (customer_id, wallet), number in zip(wanted.items(), numbers, strict=True)
    }


def _succeeded(job_id: UUID, wallet: NewWallet | None) -> Outcome:
    if wallet is None:
        return succeeded(job_id, customer_id=job_id)
    return succeeded(job_id, customer_id=job_id, wallet_id=wallet.id, wallet_number=wallet.number)
