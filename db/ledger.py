"""The whole ledger, read row by row: each seal computed anew, each wallet's history added up.

One reading serves every promise about single entries, because sorting and joining them is what takes time.
"""

import math
import secrets
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from db import parts
from db.parts import Divisible, Part
from domain.ledger import NO_SEAL, Sealer, in_order, sealer
from domain.openings import FIRST
from domain.transactions import TransactionKind
from domain.wallets import SystemWallet


class Rule(Enum):
    SEAL = auto()  # Nobody changed a byte of a posted row.
    SIDES = auto()  # A transaction has two entries: those that it says.
    WALLET = auto()  # An entry is of a wallet, whose currency is the transaction's.
    OPENING = auto()  # An opening balance is its wallet's first entry.
    RUNNING_BALANCE = auto()  # `balance_after` is the sum of the wallet's entries up to there.
    BALANCE = auto()  # A wallet's balance is the sum of its entries, and its sequence their count.


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    rule: Rule
    row: str
    message: str


PRIME = 2**130 - 5  # Above every seal of 128 bits; RFC 8439, 2.5.


class Tally(msgspec.Struct, kw_only=True):
    """Products of (point + seal) modulo PRIME: where they are equal, so are the sets of seals, each as often.

    Others have equal products at one point in 2^100, and who made the rows could not know the point: it is of chance,
    and of one reading (the lemma of Schwartz and Zippel).
    """

    point: int
    debits: int = 1
    credits: int = 1
    transactions: int = 1

    def enter(self, amount: int, seal: bytes | None) -> None:
        """Count one side of the transaction that has this seal."""
        if seal is None:
            return  # An entry of no transaction is named.
        factor = self.point + int.from_bytes(seal)
        if amount < 0:
            self.debits = self.debits * factor % PRIME
        else:
            self.credits = self.credits * factor % PRIME

    def post(self, seal: bytes) -> None:
        self.transactions = self.transactions * (self.point + int.from_bytes(seal)) % PRIME


class _Reading(msgspec.Struct, frozen=True, kw_only=True):
    seal_key: bytes
    point: int
    most: int


def broken(connection: Connection, seal_key: bytes, most: int) -> list[Broken]:
    """Return the rows that break a rule, of each part of the ledger `most` or a few more; transactions first."""
    reading = _Reading(seal_key=seal_key, point=secrets.randbelow(PRIME), most=most)
    searches = {
        Divisible("transactions", by="id"): partial(_transactions, reading),
        Divisible("entries", by="wallet_id"): partial(_histories, reading),
    }
    found = parts.look(connection, searches)
    rows = [one for one in found if isinstance(one, Broken)]
    tallies = [one for one in found if isinstance(one, Tally)]
    debits = math.prod(one.debits for one in tallies) % PRIME
    credits_ = math.prod(one.credits for one in tallies) % PRIME
    transactions = math.prod(one.transactions for one in tallies) % PRIME
    return rows if debits == credits_ == transactions else rows + _unpaired(connection, most)


DIFFERS = "differs from what was sealed"
# What a seal is over, in its order, and the seal. Ids are text, which is all that a seal sees of them.
TRANSACTIONS = """
    SELECT CAST(id AS text), kind, amount, currency, CAST(source_wallet_id AS text),
           CAST(destination_wallet_id AS text), description, external_reference, metadata, posted_at, seal
      FROM transactions
     WHERE id >= CAST(%(start)s AS uuid) AND (CAST(%(end)s AS uuid) IS NULL OR id < CAST(%(end)s AS uuid))
"""


def _transactions(reading: _Reading, connection: Connection, part: Part) -> list[Broken | Tally]:
    found: list[Broken | Tally] = []
    tally, seal_of = Tally(point=reading.point), sealer(reading.seal_key)
    for row in parts.rows(connection, "transactions", TRANSACTIONS, part):
        metadata, posted_at, seal = row[-3:]
        said = row[:-1] if metadata is None else (*row[:-3], in_order(metadata), posted_at)
        tally.post(seal)
        if seal_of(said) != seal and len(found) < reading.most:
            found.append(Broken(rule=Rule.SEAL, row=f"transactions {row[0]}", message=DIFFERS))
    return [*found, tally]


class _Wallet(NamedTuple):
    id: str
    type: str
    currency: str
    balance: int
    sequence: int
    seal: bytes
    folded_before: int | None
    is_system: bool


WALLETS = """
    SELECT CAST(wallets.id AS text), type, currency, balance, sequence, seal, folded_before, customer_id IS NULL
      FROM wallets
     WHERE id >= CAST(%(start)s AS uuid) AND (CAST(%(end)s AS uuid) IS NULL OR id < CAST(%(end)s AS uuid))
     ORDER BY wallets.id
"""
# Rows are sorted before ids become texts, which are wider and compare slowly. The last column: whether the transaction
# says so; null where the amount is right and it says no wallet on that side, or where there is no transaction.
ENTRIES = """
    SELECT CAST(wallet_id AS text), sequence, amount, balance_after, seal, xact_id, transaction_seal, currency, kind,
           is_said
      FROM (SELECT wallet_id, sequence, entries.amount, balance_after, entries.seal, entries.xact_id,
                   transactions.seal AS transaction_seal, currency, kind,
                   abs(entries.amount) = transactions.amount
                   AND wallet_id = CASE WHEN entries.amount < 0 THEN source_wallet_id ELSE destination_wallet_id END
                   AS is_said
              FROM entries
              LEFT JOIN transactions ON transactions.id = transaction_id
             WHERE wallet_id >= CAST(%(start)s AS uuid)
               AND (CAST(%(end)s AS uuid) IS NULL OR wallet_id < CAST(%(end)s AS uuid))
             ORDER BY wallet_id, sequence) AS ordered
"""
Entries = Iterator[tuple[Any, ...]]  # Of one wallet, the columns of ENTRIES.


def _histories(reading: _Reading, connection: Connection, part: Part) -> list[Broken | Tally]:
    found: list[Broken | Tally] = []
    tally, seal_of = Tally(point=reading.point), sealer(reading.seal_key)
    for wallet_id, wallet, entries in _by_wallet(connection, part):
        if wallet is None:
            broken = iter([_entry(Rule.WALLET, wallet_id, next(entries)[1], "of a wallet that does not exist")])
        else:
            history = _system_history if wallet.is_system else _customers_history
            broken = history(wallet, entries, seal_of, tally)
        for one in broken:
            if len(found) < reading.most:
                found.append(one)
    return [*found, tally]


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


OPENING = TransactionKind.OPENING.value  # A plain text is compared with each of millions.


def _customers_history(wallet: _Wallet, entries: Entries, seal_of: Sealer, tally: Tally) -> Iterator[Broken]:
    last, total, count, sequence = NO_SEAL, 0, 0, 0
    for _, sequence, amount, balance, seal, _, transaction, currency, kind, is_said in entries:
        total += amount
        count += 1
        tally.enter(amount, transaction)
        if not is_said:
            yield _entry(Rule.SIDES, wallet.id, sequence, "not what its transaction says")
        if seal_of((last, transaction, wallet.id, sequence, amount, balance)) != seal:
            yield _entry(Rule.SEAL, wallet.id, sequence, DIFFERS)
        if balance != total:
            yield _entry(Rule.RUNNING_BALANCE, wallet.id, sequence, f"balance_after is {balance}, the sum is {total}")
        if currency != wallet.currency:
            yield _entry(Rule.WALLET, wallet.id, sequence, f"of {currency}, in a wallet of {wallet.currency}")
        if kind == OPENING and sequence != FIRST:
            yield _entry(Rule.OPENING, wallet.id, sequence, "an opening balance after other entries")
        last = seal
    if last != wallet.seal:
        yield _wallet(Rule.SEAL, wallet, "its seal is not its latest entry's")
    if (total, count, sequence) != (wallet.balance, wallet.sequence, wallet.sequence):
        sums = f"{count} entries up to {sequence} sum to {total}"
        yield _wallet(Rule.BALANCE, wallet, f"balance {wallet.balance} after {wallet.sequence} entries, but {sums}")


CASH: Mapping[str, str] = {  # Where the side is entered on which a transaction says no wallet.
    TransactionKind.DEPOSIT: SystemWallet.CASH_IN,
    TransactionKind.WITHDRAWAL: SystemWallet.CASH_OUT,
    TransactionKind.OPENING: SystemWallet.OPENING,
}


def _system_history(wallet: _Wallet, entries: Entries, seal_of: Sealer, tally: Tally) -> Iterator[Broken]:
    """Nobody locks a system wallet: its entries have no place in a chain, and are in its balance once folded."""
    total, folded_before = 0, wallet.folded_before or 0
    for _, sequence, amount, balance, seal, xact_id, transaction, currency, kind, is_said in entries:
        tally.enter(amount, transaction)
        if is_said is not None or CASH.get(kind) != wallet.type:
            yield _entry(Rule.SIDES, wallet.id, sequence, "not what its transaction says")
        if seal_of((NO_SEAL, transaction, wallet.id, None, amount, balance)) != seal:
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


def _unpaired(connection: Connection, most: int) -> list[Broken]:
    rows = connection.execute(UNPAIRED, {"most": most}).all()
    found = [Broken(rule=Rule.SIDES, row=row.row, message=row.message) for row in rows]
    return found or [
        Broken(rule=Rule.SIDES, row="transactions", message="some have not two entries in wallets that exist")
    ]


UNPAIRED = text("""
    SELECT 'transactions ' || id AS row,
           coalesce(debits, 0) || ' debits and ' || coalesce(credits, 0) || ' credits' AS message
      FROM transactions
      LEFT JOIN (SELECT transaction_id, count(*) FILTER (WHERE amount < 0) AS debits,
                        count(*) FILTER (WHERE amount > 0) AS credits
                   FROM entries GROUP BY transaction_id) AS entered ON transaction_id = id
     WHERE debits IS DISTINCT FROM 1 OR credits IS DISTINCT FROM 1
     LIMIT :most
""")
