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
from domain.customers import CustomerState
from domain.jobs import Claimed, Kind, Outcome
from domain.states import Change, Decision, StatedWallet
from workers.transactions import DEFER_SECONDS


def change_wallets(
    tx: Connection,
    changes: list[Change],
    not_yet: Collection[UUID],
    *,
    locked: Collection[UUID],
    customers: Mapping[UUID, CustomerState],
) -> list[Outcome]:
    """Settle changes of wallets that are `locked`, as are their `customers`: their states stay as they are meanwhile.

    What is `not_yet` there, or free, comes again.
    """
    wallets = db.states.wallets(tx, locked)
    ready = _ready(tx, changes, not_yet)

    decision = domain.states.change_wallets(ready, wallets, customers)

    _write(tx, decision, wallets, customers)
    return decision.outcomes


def change_customers(tx: Connection, batch: list[Claimed], registrations: Collection[UUID]) -> list[Outcome]:
    """Settle changes of customers, and what follows for their wallets, after this batch's registrations."""
    changes = domain.states.changes(batch)
    changed = {one.id for one in changes}
    to_come = db.jobs.to_come(tx, Kind.CUSTOMER_REGISTER, changed)  # First: what ends meanwhile is found then.
    customers = db.states.lock_free_customers(tx, changed)
    owners = db.states.wallet_ids(tx, customers.states.keys())
    locked = db.wallets.lock(tx, set(owners))
    wallets = db.states.wallets(tx, locked.wallets.keys())
    held = customers.contended.union(owners[one] for one in locked.contended)
    ready = _ready(tx, changes, held | to_come.difference(registrations))

    decision = domain.states.change_customers(ready, customers.states, wallets)

    _write(tx, decision, wallets, customers.states)
    return decision.outcomes


def _ready(tx: Connection, changes: list[Change], not_yet: Collection[UUID]) -> list[Change]:
    """Return the changes that can be decided; the others come again, once what they change is there and free.

    Those of one wallet or customer keep their order: who unfreezes after a freeze that was put off waits for it.
    """
    later = db.states.behind(tx, changes) | {one.job_id for one in changes if one.id in not_yet}
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
