"""The states of wallets and customers: locked, read, written. Customers are locked before wallets, in id order."""

from collections.abc import Collection, Mapping
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from db.rows import decode, encode, uuids
from db.wallets import LOCK_WAIT
from domain.customers import CustomerState
from domain.jobs import QUEUE_OF
from domain.states import KINDS, Change, StatedWallet


class StatedCustomer(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    state: CustomerState


class LockedCustomers(msgspec.Struct, frozen=True, kw_only=True):
    states: dict[UUID, CustomerState]
    contended: set[UUID]  # Somebody else holds these for long; nobody can say what becomes of them.


def lock_free_customers(connection: Connection, customer_ids: Collection[UUID]) -> LockedCustomers:
    """Lock customers as `lock_customers` does, but for those that somebody holds for longer than LOCK_WAIT.

    So a single row cannot hold up the others; nor does any later statement of the transaction wait for longer.
    """
    found = decode(
        connection.scalar(LOCK_FREE, {"ids": uuids(list(customer_ids)), "wait": LOCK_WAIT}), list[StatedCustomer]
    )
    states = {customer.id: customer.state for customer in found}
    missing = set(customer_ids) - states.keys()
    known = connection.scalars(KNOWN, {"ids": uuids(list(missing))}) if missing else ()
    return LockedCustomers(states=states, contended=set(known))


LOCK_FREE = text("SELECT CAST(locked AS text) FROM lock_customers(CAST(:ids AS uuid[]), :wait) AS locked")
KNOWN = text("SELECT id FROM customers WHERE id = ANY(CAST(:ids AS uuid[]))")


def lock_customers(connection: Connection, customer_ids: Collection[UUID]) -> dict[UUID, CustomerState]:
    """Return the states of customers, to change them or to open wallets for them: meanwhile nobody else does."""
    if not customer_ids:
        return {}
    rows = connection.execute(CUSTOMERS, {"ids": uuids(list(customer_ids))})
    return {row.id: CustomerState(row.state) for row in rows}


CUSTOMERS = text("""
    SELECT id, state FROM customers WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE
""")


def wallet_ids(connection: Connection, customer_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the customers of all wallets that these customers have."""
    rows = connection.execute(WALLET_IDS, {"ids": uuids(list(customer_ids))})
    return {row.id: row.customer_id for row in rows}


WALLET_IDS = text("SELECT id, customer_id FROM wallets WHERE customer_id = ANY(CAST(:ids AS uuid[]))")


def wallets(connection: Connection, wallet_ids: Collection[UUID]) -> dict[UUID, StatedWallet]:
    """Return customers' wallets, whose rows the caller has locked."""
    found = decode(connection.scalar(WALLETS, {"ids": uuids(list(wallet_ids))}), list[StatedWallet])
    return {wallet.id: wallet for wallet in found}


WALLETS = text("""
    SELECT CAST(json_agg(stated) AS text)
      FROM (SELECT id, customer_id, state, frozen_alone, balance, held FROM wallets
             WHERE id = ANY(CAST(:ids AS uuid[])) AND customer_id IS NOT NULL) AS stated
""")


def update_wallets(connection: Connection, changed: Collection[StatedWallet]) -> None:
    """Write the states of locked wallets."""
    if changed:
        connection.execute(UPDATE_WALLETS, {"rows": encode(list(changed))})


UPDATE_WALLETS = text("""
    UPDATE wallets SET state = changed.state, frozen_alone = changed.frozen_alone
      FROM json_to_recordset(CAST(:rows AS json)) AS changed (id uuid, state text, frozen_alone boolean)
     WHERE wallets.id = changed.id
""")


def update_customers(connection: Connection, changed: Mapping[UUID, CustomerState]) -> None:
    """Write the states of locked customers, and end their sessions: whoever may come back logs in anew."""
    if changed:
        rows = encode([{"id": customer_id, "state": state} for customer_id, state in changed.items()])
        connection.execute(UPDATE_CUSTOMERS, {"rows": rows})
        connection.execute(text("SELECT revoke_sessions(CAST(:ids AS uuid[]))"), {"ids": uuids(list(changed))})


UPDATE_CUSTOMERS = text("""
    UPDATE customers SET state = changed.state
      FROM json_to_recordset(CAST(:rows AS json)) AS changed (id uuid, state text) WHERE customers.id = changed.id
""")


def behind(connection: Connection, changes: Collection[Change]) -> set[UUID]:
    """Return the jobs whose wallet or customer has an earlier change that is still queued, and not among these."""
    rows = encode([{"job_id": one.job_id, "queue": QUEUE_OF[one.kind], "id": str(one.id)} for one in changes])
    return set(connection.scalars(BEHIND, {"rows": rows, "kinds": list(KINDS)}))


BEHIND = text("""
    WITH these AS MATERIALIZED (
        SELECT job_id, queue, id FROM json_to_recordset(CAST(:rows AS json)) AS one (job_id uuid, queue text, id text))
    SELECT DISTINCT these.job_id
      FROM these JOIN jobs ON payload ->> 'id' = these.id AND jobs.queue = these.queue AND jobs.id < these.job_id
     WHERE jobs.state = 'queued' AND kind = ANY(CAST(:kinds AS text[]))
       AND jobs.id NOT IN (SELECT job_id FROM these)
""")
