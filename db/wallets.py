"""Wallets: rows that hold a balance, and the locks under which it changes."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, Select, select, text

import domain.wallets
from db.rows import decode, encode, uuids
from db.tables import wallets
from domain.wallets import LockedWallet, NewWallet, Wallet


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    wallets: dict[UUID, LockedWallet]
    contended: set[UUID]  # Somebody else holds these for long; nobody can say what is in them.


def lock(connection: Connection, wallet_ids: Collection[UUID], *, spent: bool = False) -> Locked:
    """Lock customers' wallets in id order, so that crossing batches wait and never deadlock.

    A lock that does not come within LOCK_WAIT is done without, so that a single row cannot hold up the
    others; nor does any later statement of the transaction wait for longer. The system's own wallets are
    left out: no caller may name one. What they have `spent` is read when asked for.
    """
    found = decode(
        connection.scalar(LOCK, {"ids": uuids(wallet_ids), "spent": spent, "wait": LOCK_WAIT}), list[LockedWallet]
    )
    locked = {wallet.id: wallet for wallet in found}
    missing = set(wallet_ids) - locked.keys()
    return Locked(wallets=locked, contended=set(owners(connection, missing)) if missing else set())


LOCK_WAIT = "1s"  # Another batch is done in a tenth of that.
LOCK = text("SELECT CAST(locked AS text) FROM lock_wallets(CAST(:ids AS uuid[]), :spent, :wait) AS locked")


def update(connection: Connection, changed: Sequence[LockedWallet], *, spent: bool = False) -> None:
    """Write the new balances of locked wallets, and what they have `spent` if that was read."""
    if not changed:
        return
    connection.execute(UPDATE_SPENT if spent else UPDATE, {"rows": encode(changed)})


UPDATING = """
    UPDATE wallets
       SET balance = changed.balance, sequence = changed.sequence, seal = decode(changed.seal, 'base64'){set}
      FROM json_to_recordset(CAST(:rows AS json)) AS changed (id uuid, balance bigint, sequence bigint, seal text{more})
     WHERE wallets.id = changed.id
"""
UPDATE = text(UPDATING.format(set="", more=""))
UPDATE_SPENT = text(UPDATING.format(set=", spent = changed.spent", more=", spent bigint[]"))


def next_sequences(connection: Connection, count: int) -> list[int]:
    """Return `count` unused places in the order of wallets, for `domain.wallets.number`."""
    if count == 0:
        return []
    rows = connection.execute(
        text("SELECT nextval('wallet_numbers') FROM generate_series(1, :count)"), {"count": count}
    )
    return [row.nextval for row in rows]


def new_numbers(connection: Connection, count: int) -> list[str]:
    """Return `count` numbers that no wallet has: some of those to come may have been brought from elsewhere."""
    found: list[str] = []
    while missing := count - len(found):
        drawn = [domain.wallets.number(sequence) for sequence in next_sequences(connection, missing)]
        taken = ids_by_number(connection, drawn)
        found += [number for number in drawn if number not in taken]
    return found


def insert(connection: Connection, opened: Sequence[NewWallet], balance_max: int) -> None:
    """Open wallets that may hold up to `balance_max` minor units each, in one statement: its trigger locks rows."""
    if opened:
        connection.execute(INSERT, {"rows": encode(opened), "balance_max": balance_max})


INSERT = text("""
    INSERT INTO wallets (id, customer_id, number, currency, type, balance_max)
    SELECT id, customer_id, number, currency, type, :balance_max
      FROM json_to_recordset(CAST(:rows AS json))
           AS opened (id uuid, customer_id uuid, number text, currency text, type text)
""")


def ids_by_number(connection: Connection, numbers: Collection[str]) -> dict[str, UUID]:
    if not numbers:
        return {}
    rows = connection.execute(
        text("SELECT number, id FROM wallets WHERE number = ANY(CAST(:numbers AS text[]))"), {"numbers": list(numbers)}
    )
    return {row.number: row.id for row in rows}


def owners(connection: Connection, wallet_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the customers of those of these wallets that have one: a fact that never changes."""
    rows = connection.execute(OWNERS, {"ids": uuids(wallet_ids)})
    return {row.id: row.customer_id for row in rows}


OWNERS = text("""
    SELECT id, customer_id FROM wallets WHERE id = ANY(CAST(:ids AS uuid[])) AND customer_id IS NOT NULL
""")


def find(connection: Connection, wallet_id: UUID) -> Wallet | None:
    row = connection.execute(_select().where(wallets.c.id == wallet_id)).first()
    return None if row is None else _wallet(row)


def page(connection: Connection, customer_id: UUID | None, before: UUID | None, limit: int) -> list[Wallet]:
    """Return at most `limit` wallets, of one customer or (None) of all, newest first, older than `before`."""
    query = _select().order_by(wallets.c.id.desc()).limit(limit)
    if customer_id is not None:
        query = query.where(wallets.c.customer_id == customer_id)
    if before is not None:
        query = query.where(wallets.c.id < before)
    return [_wallet(row) for row in connection.execute(query)]


def ids_of(connection: Connection, customer_id: UUID) -> list[UUID]:
    return list(connection.scalars(select(wallets.c.id).where(wallets.c.customer_id == customer_id)))


def _select() -> Select[Any]:
    return select(
        wallets.c.id,
        wallets.c.number,
        wallets.c.customer_id,
        wallets.c.currency,
        wallets.c.type,
        wallets.c.state,
        wallets.c.balance,
        wallets.c.held,
        (wallets.c.balance - wallets.c.held - wallets.c.balance_min).label("available"),
        wallets.c.created_at,
    ).where(wallets.c.customer_id.is_not(None))


def _wallet(row: Row[Any]) -> Wallet:
    return msgspec.convert(row, Wallet, from_attributes=True)
