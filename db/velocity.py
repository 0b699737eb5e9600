"""What has gone out of the wallets of customers who have several of one currency: a row each, locked after wallets.

A trigger makes the row when the second wallet is opened; until then, the one wallet's row says it.
"""

from collections.abc import Collection
from uuid import UUID

import msgspec
from sqlalchemy import Connection, TextClause, text

import db.locks
from db.rows import decode, encode, uuids
from domain.velocity import CustomerSpent


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    customers: list[CustomerSpent]
    contended: set[UUID]  # Somebody else holds for long what the customers of these wallets have spent.


NOTHING = Locked(customers=[], contended=set())


def lock(connection: Connection, wallet_ids: Collection[UUID]) -> Locked:
    """Lock what the customers of these wallets have spent, in their order; the wallets themselves are locked before.

    Their lock's timeout holds here too: what does not come within it is done without.
    """
    ids = uuids(wallet_ids)
    if (found := db.locks.unless_held(connection, lambda: _lock(connection, LOCK, ids))) is not None:
        return Locked(customers=found, contended=set())
    found = _lock(connection, LOCK_FREE, ids)
    several = set(connection.scalars(OF_SEVERAL, {"ids": ids}))
    return Locked(customers=found, contended=several.difference(*(one.wallet_ids for one in found)))


def _lock(connection: Connection, statement: TextClause, ids: str) -> list[CustomerSpent]:
    return decode(connection.scalar(statement, {"ids": ids}), list[CustomerSpent])


LOCKING = """
    WITH owned AS MATERIALIZED (
        SELECT customer_id, currency, array_agg(id) AS wallet_ids
          FROM wallets WHERE id = ANY(CAST(:ids AS uuid[])) GROUP BY customer_id, currency),
    locked AS MATERIALIZED (
        SELECT customer_velocity.customer_id, customer_velocity.currency, spent, wallet_ids
          FROM owned JOIN customer_velocity USING (customer_id, currency)
         ORDER BY customer_id, currency FOR NO KEY UPDATE OF customer_velocity{wait})
    SELECT CAST(json_agg(locked) AS text) FROM locked
"""
LOCK, LOCK_FREE = (text(LOCKING.format(wait=wait)) for wait in ("", " SKIP LOCKED"))
OF_SEVERAL = text("""
    SELECT id FROM wallets JOIN customer_velocity USING (customer_id, currency) WHERE id = ANY(CAST(:ids AS uuid[]))
""")


def update(connection: Connection, changed: Collection[CustomerSpent]) -> None:
    """Write what locked customers have spent."""
    if changed:
        connection.execute(UPDATE, {"rows": encode(list(changed))})


UPDATE = text("""
    UPDATE customer_velocity SET spent = changed.spent
      FROM json_to_recordset(CAST(:rows AS json)) AS changed (customer_id uuid, currency text, spent bigint[])
     WHERE customer_velocity.customer_id = changed.customer_id AND customer_velocity.currency = changed.currency
""")
