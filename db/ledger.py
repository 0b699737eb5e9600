"""The whole ledger, read row by row: each seal computed anew, each wallet's history added up.

One reading serves every promise about single entries, because sorting and joining them is what takes time.
"""

from collections.abc import Iterator
from enum import Enum, auto
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from db import parts
from db.parts import Part
from domain.ledger import NO_SEAL, entry_seal, transaction_seal
from domain.transactions import Movement


class Rule(Enum):
    SEAL = auto()  # Nobody changed a byte of a posted row.
    WALLET = auto()  # An entry is of a wallet, whose currency is the transaction's.
    OPENING = auto()  # An opening balance is its wallet's first entry.
    RUNNING_BALANCE = auto()  # `balance_after` is the sum of the wallet's entries up to there.
    BALANCE = auto()  # A wallet's balance is the sum of its entries, and its sequence their count.


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    rule: Rule
    row: str
    message: str


def broken(connection: Connection, seal_key: bytes, most: int) -> list[Broken]:
    """Return the rows that break a rule, of each part of the ledger `most` or a few more; transactions first."""
    searches = {
        "transactions": partial(_transactions, seal_key=seal_key, most=most),
        "wallets": partial(_histories, seal_key=seal_key, most=most),
    }
    return parts.look(connection, searches)


DIFFERS = "differs from what was sealed"
# Ids are text, which is all that a seal sees of them.
TRANSACTIONS = """
    SELECT CAST(id AS text), kind, posted_at, seal, amount, currency, CAST(source_wallet_id AS text),
           CAST(destination_wallet_id AS text), description, external_reference, metadata
      FROM transactions
     WHERE id >= CAST(%(start)s AS uuid) AND (CAST(%(end)s AS uuid) IS NULL OR id < CAST(%(end)s AS uuid))
"""


def _transactions(connection: Connection, part: Part, *, seal_key: bytes, most: int) -> list[Broken]:
    found: list[Broken] = []
    for row in parts.rows(connection, "transactions", TRANSACTIONS, part):
        id_, kind, posted_at, seal, amount, currency, source, destination, description, reference, metadata = row
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
            found.append(Broken(rule=Rule.SEAL, row=f"transactions {id_}", message=DIFFERS))
            if len(found) >= most:
                break
    return found


class _Wallet(NamedTuple):
    id: str
    currency: str
    balance: int
    sequence: int
    seal: bytes
    folded_before: int | None  # None: a customer's.


WALLETS = """
    SELECT CAST(wallets.id AS text), currency, balance, sequence, seal, folded_before
      FROM wallets
     WHERE id >= CAST(%(start)s AS uuid) AND (CAST(%(end)s AS uuid) IS NULL OR id < CAST(%(end)s AS uuid))
     ORDER BY wallets.id
"""
# Rows are sorted before ids become texts, which are wider and compare slowly.
ENTRIES = """
    SELECT CAST(wallet_id AS text), sequence, amount, balance_after, seal, xact_id, transaction_seal, currency,
           kind = 'opening' AND sequence <> 1
      FROM (SELECT entries.*, transactions.seal AS transaction_seal, currency, kind
              FROM entries
              LEFT JOIN transactions ON transactions.id = transaction_id
             WHERE wallet_id >= CAST(%(start)s AS uuid)
               AND (CAST(%(end)s AS uuid) IS NULL OR wallet_id < CAST(%(end)s AS uuid))
             ORDER BY wallet_id, sequence) AS ordered
"""


def _histories(connection: Connection, part: Part, *, seal_key: bytes, most: int) -> list[Broken]:
    found: list[Broken] = []
    for wallet_id, wallet, entries in _by_wallet(connection, part):
        if wallet is None:
            found.append(_entry(Rule.WALLET, wallet_id, next(entries)[1], "of a wallet that does not exist"))
        else:
            history = _customers_history if wallet.folded_before is None else _system_history
            found += islice(history(wallet, entries, seal_key), most)
        if len(found) >= most:
            break
    return found


Entries = Iterator[tuple[Any, ...]]  # Of one wallet, the columns of ENTRIES.
AFTER_ALL = "~"  # Above every id, as text.
NO_MORE: tuple[str, Entries] = (AFTER_ALL, iter(()))


def _by_wallet(connection: Connection, part: Part) -> Iterator[tuple[str, _Wallet | None, Entries]]:
    """Yield the id of each wallet with its row and its entries; whatever has only one of both comes with the one."""
    histories = groupby(parts.rows(connection, "entries", ENTRIES, part), itemgetter(0))
    wallets = map(_Wallet._make, parts.rows(connection, "wallets", WALLETS, part))
    history, wallet = next(histories, NO_MORE), next(wallets, None)
    while wallet is not None or history is not NO_MORE:
        if wallet is None or history[0] < wallet.id:
            yield history[0], None, history[1]
            history = next(histories, NO_MORE)
        elif history[0] == wallet.id:
            yield wallet.id, wallet, history[1]
            history, wallet = next(histories, NO_MORE), next(wallets, None)
        else:
            yield wallet.id, wallet, iter(())
            wallet = next(wallets, None)


def _customers_history(wallet: _Wallet, entries: Entries, seal_key: bytes) -> Iterator[Broken]:
    last, total, count, sequence = NO_SEAL, 0, 0, 0
    for _, sequence, amount, balance, seal, _, transaction, currency, is_late_opening in entries:
        total += amount
        count += 1
        line = (wallet.id, sequence, amount, balance)
        if entry_seal(seal_key, last, transaction, line) != seal:
            yield _entry(Rule.SEAL, wallet.id, sequence, DIFFERS)
        if balance != total:
            yield _entry(Rule.RUNNING_BALANCE, wallet.id, sequence, f"balance_after is {balance}, the sum is {total}")
        if currency != wallet.currency:
            yield _entry(Rule.WALLET, wallet.id, sequence, f"of {currency}, in a wallet of {wallet.currency}")
        if is_late_opening:
            yield _entry(Rule.OPENING, wallet.id, sequence, "an opening balance after other entries")
        last = seal
    if last != wallet.seal:
        yield _wallet(Rule.SEAL, wallet, "its seal is not its latest entry's")
    if (total, count, sequence) != (wallet.balance, wallet.sequence, wallet.sequence):
        sums = f"{count} entries up to {sequence} sum to {total}"
        yield _wallet(Rule.BALANCE, wallet, f"balance {wallet.balance} after {wallet.sequence} entries, but {sums}")


def _system_history(wallet: _Wallet, entries: Entries, seal_key: bytes) -> Iterator[Broken]:
    """Nobody locks a system wallet: its entries have no place in a chain, and are in its balance once folded."""
    total, folded_before = 0, wallet.folded_before or 0
    for _, sequence, amount, balance, seal, xact_id, transaction, currency, _ in entries:
        line = (wallet.id, None, amount, balance)
        if entry_seal(seal_key, NO_SEAL, transaction, line) != seal:
            yield _entry(Rule.SEAL, wallet.id, sequence, DIFFERS)
        if currency != wallet.currency:
            yield _entry(Rule.WALLET, wallet.id, sequence, f"of {currency}, in a wallet of {wallet.currency}")
        if xact_id is not None and xact_id < folded_before:
            total += amount
    if total != wallet.balance:
        yield _wallet(Rule.BALANCE, wallet, f"balance {wallet.balance}, but folded entries sum to {total}")


def _entry(rule: Rule, wallet_id: str, sequence: int, message: str) -> Broken:
    return Broken(rule=rule, row=f"entries {wallet_id} {sequence}", message=message)


def _wallet(rule: Rule, wallet: _Wallet, message: str) -> Broken:
    return Broken(rule=rule, row=f"wallets {wallet.id}", message=message)
