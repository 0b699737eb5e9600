"""What has gone out of the wallets of customers who have several of one currency: a row each, locked after wallets.

A trigger makes the row when the second wallet is opened; until then, the one wallet's row says it.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, text

from db.rows import decode, encode, uuids
from domain.velocity import CustomerSpent


def lock(connection: Connection, wallet_ids: Collection[UUID]) -> list[CustomerSpent]:
    """Lock what the customers of these wallets have spent, in their order; the wallets themselves are locked before."""
    return decode(connection.scalar(LOCK, {"ids": uuids(wallet_ids)}), list[CustomerSpent])


LOCK = text("""
    WITH owned AS MATERIALIZED (
        SELECT customer_id, currency, array_agg(id) AS wallet_ids
          FROM wallets WHERE id = ANY(CAST(:ids AS uuid[])) GROUP BY customer_id, currency),
    locked AS MATERIALIZED (
        SELECT customer_velocity.customer_id, customer_velocity.currency, spent, wallet_ids
          FROM owned JOIN customer_velocity USING (customer_id, currency)
         ORDER BY customer_id, currency FOR NO KEY UPDATE OF customer_velocity)
    SELECT CAST(json_agg(locked) AS text) FROM locked
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
