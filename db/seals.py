"""Seals computed anew: a byte that was changed in a posted row breaks its own, and its wallet's chain there."""

from functools import partial

import msgspec
from sqlalchemy import Connection

from db import parts
from db.parts import Part
from domain.ledger import NO_SEAL, entry_seal, transaction_seal
from domain.transactions import Movement


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    row: str
    message: str


def broken(connection: Connection, seal_key: bytes, most: int) -> list[Broken]:
    """Return the rows whose seals do not verify, of each part of the ledger at most `most`.

    Transactions first, each once. Of those that differ from what was sealed, entries are not looked at.
    """
    found = parts.look(connection, "transactions", partial(_transactions, seal_key=seal_key, most=most))
    if len(found) >= most:
        return found
    guilty = frozenset(one.row.removeprefix("transactions ") for one in found)
    return found + parts.look(connection, "wallets", partial(_entries, seal_key=seal_key, most=most, guilty=guilty))


DIFFERS = "differs from what was sealed"
TRANSACTIONS = """
    SELECT id, kind, posted_at, seal, amount, currency, source_wallet_id, destination_wallet_id, description,
           external_reference, metadata
      FROM transactions
     WHERE id >= CAST(%(start)s AS uuid) AND (CAST(%(end)s AS uuid) IS NULL OR id < CAST(%(end)s AS uuid))
"""


def _transactions(connection: Connection, part: Part, *, seal_key: bytes, most: int) -> list[Broken]:
    found: list[Broken] = []
    for id_, kind, posted_at, seal, amount, currency, source, destination, *texts in parts.rows(
        connection, TRANSACTIONS, part
    ):
        description, reference, metadata = texts
        movement = Movement(
            amount=amount,
            currency=currency,
            source_wallet_id=source,
            destination_wallet_id=destination,
            description=description,
            external_reference=reference,
            metadata=metadata,
        )
        if transaction_seal(seal_key, id_, kind, movement, posted_at=posted_at) != seal:
            found.append(Broken(row=f"transactions {id_}", message=DIFFERS))
            if len(found) >= most:
                break
    return found


# A system wallet's entries have no place in its chain, and no balance.
ENTRIES = """
    SELECT entries.wallet_id, entries.sequence, entries.amount, entries.balance_after, entries.seal,
           wallets.seal, transactions.id, transactions.seal
      FROM entries
      JOIN transactions ON transactions.id = entries.transaction_id
      JOIN wallets ON wallets.id = entries.wallet_id
     WHERE entries.wallet_id >= CAST(%(start)s AS uuid)
       AND (CAST(%(end)s AS uuid) IS NULL OR entries.wallet_id < CAST(%(end)s AS uuid))
     ORDER BY entries.wallet_id, entries.sequence
"""


def _entries(connection: Connection, part: Part, *, seal_key: bytes, most: int, guilty: frozenset[str]) -> list[Broken]:
    found: list[Broken] = []
    last, wallet, wallet_seal = NO_SEAL, None, NO_SEAL
    for wallet_id, sequence, amount, balance, seal, its_seal, transaction_id, transaction in parts.rows(
        connection, ENTRIES, part
    ):
        if wallet_id != wallet:
            found += _open_end(wallet, last, wallet_seal)
            last, wallet = NO_SEAL, wallet_id
            if len(found) >= most:
                return found
        line = (wallet_id, None if balance is None else sequence, amount, balance)
        if entry_seal(seal_key, last, transaction, line) != seal and transaction_id not in guilty:
            found.append(Broken(row=f"entries {wallet_id} {sequence}", message=DIFFERS))
        last, wallet_seal = (NO_SEAL, NO_SEAL) if balance is None else (seal, its_seal)
    return found + _open_end(wallet, last, wallet_seal)


def _open_end(wallet_id: str | None, last: bytes, wallet_seal: bytes) -> list[Broken]:
    if last == wallet_seal:
        return []
    return [Broken(row=f"wallets {wallet_id}", message="its seal is not its latest entry's")]
