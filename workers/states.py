"""Freezing, unfreezing and closing wallets and customers, settled together in order of arrival.

Whoever moves money locks the wallets too: what is settled before the freeze has moved, what comes after it is refused.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

import db.actions
import db.jobs
import db.states
import db.wallets
import domain.states
from db.engine import Connection
from db.wallets import Locked
from domain.customers import CustomerState
from domain.jobs import Claimed, Outcome
from domain.states import Change, Decision, StatedWallet
from workers.transactions import DEFER_SECONDS


def change_wallets(
    tx: Connection, changes: list[Change], customers: Mapping[UUID, CustomerState], locked: Locked
) -> list[Outcome]:
    """Settle changes of wallets that are `locked`; so are their customers, whose states stay as they are meanwhile."""
    found = db.states.wallets(tx, locked.wallets.keys())
    # One that was opened since its customer was asked for is not there yet.
    wallets = {wallet_id: one for wallet_id, one in found.items() if one.customer_id in customers}
    ready = _ready(tx, changes, locked.contended)

    decision = domain.states.change_wallets(ready, wallets, customers)

    _write(tx, decision, wallets, customers)
    return decision.outcomes


def change_customers(tx: Connection, batch: list[Claimed]) -> list[Outcome]:
    """Settle changes of customers, and what follows for their wallets."""
    changes = domain.states.changes(batch)
    customers = db.states.lock_customers(tx, {one.id for one in changes})
    owners = db.states.wallet_ids(tx, customers.keys())
    locked = db.wallets.lock(tx, set(owners))
    wallets = db.states.wallets(tx, locked.wallets.keys())
    ready = _ready(tx, changes, {owners[one] for one in locked.contended})

    decision = domain.states.change_customers(ready, customers, wallets)

    _write(tx, decision, wallets, customers)
    return decision.outcomes


def _ready(tx: Connection, changes: list[Change], contended: Collection[UUID]) -> list[Change]:
    """Return the changes that can be decided; the others come again, once nobody holds the wallets for long.

    Those of one wallet or customer keep their order: who unfreezes after a freeze that was put off waits for it.
    """
    later = db.states.behind(tx, changes) | {one.job_id for one in changes if one.id in contended}
    db.jobs.defer(tx, list(later), DEFER_SECONDS)
    return [one for one in changes if one.job_id not in later]


def _write(
    tx: Connection,
    decision: Decision,
    wallets: Mapping[UUID, StatedWallet],
    customers: Mapping[UUID, CustomerState],
) -> None:
    db.actions.record(tx, *decision.done)
    db.states.update_wallets(tx, [one for one in decision.wallets.values() if one != wallets[one.id]])
    db.states.update_customers(
        tx,
        {
            customer_id: state
            for customer_id, state in decision.customers.items()
            if state is not customers[customer_id]
        },
    )
