"""Wallets of a previous platform as rows, each with the posting that brings its balance."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

import db.wallets
from db.copy_rows import copy, escape
from domain.imported_wallets import OpenedWallet, StoredWallet
from domain.openings import DESCRIPTION, FIRST, Opening
from domain.wallets import WalletState

WALLETS = (
    "id, number, customer_id, type, currency, state, balance, balance_max, sequence, seal, created_at, frozen_alone"
)
TRANSACTIONS = "id, kind, amount, currency, destination_wallet_id, description, external_reference, posted_at, seal"
ENTRIES = "wallet_id, sequence, transaction_id, amount, balance_after, xact_id, seal"


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What the wallets of a batch have in common."""

    customers: Mapping[str, UUID]  # Our ids by theirs.
    balance_max: int
    posted_at: datetime


def insert(connection: Connection, wallets: Sequence[OpenedWallet], books: Books) -> None:
    """Write wallets, what they were called before, and, in one statement, all entries of their openings."""
    drawn = iter(db.wallets.new_numbers(connection, sum(one.row.number is None for one in wallets)))
    lines = [_wallet(one, one.row.number or next(drawn), books) for one in wallets]
    copy(connection, "wallets", WALLETS, lines)
    old = (f"wallet\t{escape(one.row.legacy_id)}\t{one.id}\n" for one in wallets)
    copy(connection, "legacy_ids", "kind, legacy_id, id", old)
    openings = [one.opening for one in wallets if one.opening is not None]
    posted_at = books.posted_at.isoformat()
    copy(connection, "transactions", TRANSACTIONS, (_transaction(one, posted_at) for one in openings))
    sequences = connection.scalars(SEQUENCES, {"count": len(openings)}).all()
    xact_id = connection.scalar(XACT_ID)
    sides = (_entries(one, sequence, xact_id) for one, sequence in zip(openings, sequences, strict=True))
    copy(connection, "entries", ENTRIES, sides)


SEQUENCES = text("SELECT nextval('system_entries') FROM generate_series(1, :count)")
XACT_ID = text("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")


def _wallet(one: OpenedWallet, number: str, books: Books) -> str:
    row, seal = one.row, "" if one.opening is None else one.opening.wallet_seal.hex()
    return (
        f"{one.id}\t{number}\t{books.customers[row.customer_legacy_id]}\t{row.type}\t{row.currency}\t{row.state}\t"
        f"{row.balance}\t{books.balance_max}\t{0 if one.opening is None else FIRST}\t\\\\x{seal}\t"
        f"{row.created_at.isoformat()}\t{row.state == WalletState.FROZEN}\n"
    )


def _transaction(one: Opening, posted_at: str) -> str:
    movement = one.movement
    return (
        f"{one.id}\topening\t{movement.amount}\t{movement.currency}\t{movement.destination_wallet_id}\t{DESCRIPTION}\t"
        f"{escape(movement.external_reference)}\t{posted_at}\t\\\\x{one.seal.hex()}\n"
    )


def _entries(one: Opening, sequence: int, xact_id: int) -> str:
    amount = one.movement.amount
    return (
        f"{one.source_wallet_id}\t{sequence}\t{one.id}\t{-amount}\t\\N\t{xact_id}\t\\\\x{one.source_seal.hex()}\n"
        f"{one.movement.destination_wallet_id}\t{FIRST}\t{one.id}\t{amount}\t{amount}\t\\N\t\\\\x{one.wallet_seal.hex()}\n"
    )


def stored(connection: Connection, legacy_ids: Collection[str]) -> dict[str, StoredWallet]:
    """Return those that are here, by what they were called before, with what their openings brought."""
    rows = connection.execute(STORED, {"ids": list(legacy_ids)})
    return {row.legacy_id: msgspec.convert(row, StoredWallet, from_attributes=True) for row in rows}


STORED = text("""
    SELECT named.legacy_id, owner.legacy_id AS customer_legacy_id, wallets.number, wallets.currency, wallets.type,
           wallets.state, coalesce(transactions.amount, 0) AS balance, wallets.created_at
      FROM legacy_ids AS named
      JOIN wallets ON wallets.id = named.id
      LEFT JOIN legacy_ids AS owner ON owner.id = wallets.customer_id
      LEFT JOIN entries ON entries.wallet_id = wallets.id AND entries.sequence = 1
      LEFT JOIN transactions ON transactions.id = entries.transaction_id AND transactions.kind = 'opening'
     WHERE named.kind = 'wallet' AND named.legacy_id = ANY(CAST(:ids AS text[]))
""")
