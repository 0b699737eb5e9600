"""Movements as lines for COPY: each with its entries and its seals, as the ledger makes them."""

from datetime import datetime
from uuid import UUID

import msgspec

from domain.ledger import NO_SEAL, entry_seal, transaction_seal
from domain.transactions import Movement
from domain.wallets import SystemWallet, system_id

CURRENCY = "RWF"
FUNDS = 1_000_000  # Of each wallet, minor units: more than it gives away.
CASH_IN = system_id(SystemWallet.CASH_IN, CURRENCY)
NULL = r"\N"
FOLDED = 1  # A database transaction before all others: what it wrote was folded.


class Side(msgspec.Struct, kw_only=True):
    """A wallet as it stands."""

    id: UUID
    balance: int = 0
    sequence: int = 0
    seal: bytes = NO_SEAL


class Lines(msgspec.Struct, kw_only=True):
    """What was posted at one moment and is still to be written, and the key that seals it."""

    seal_key: bytes
    posted_at: datetime
    transactions: list[str] = []
    entries: list[str] = []


def fund(lines: Lines, wallet: Side, transaction_id: UUID, number: int) -> None:
    """Pay into a wallet; `number` is the system's entry's."""
    seal = _post(lines, transaction_id, Movement(amount=FUNDS, currency=CURRENCY, destination_wallet_id=wallet.id))
    own = entry_seal(lines.seal_key, NO_SEAL, seal, (CASH_IN, None, -FUNDS, None))
    lines.entries.append(_line(CASH_IN, number, transaction_id, -FUNDS, NULL, FOLDED, _hex(own)))
    _enter(lines, wallet, (transaction_id, seal, FUNDS))


def pay(lines: Lines, sides: list[Side], transaction_id: UUID, amount: int) -> None:
    """Pay from the first of two wallets to the second."""
    source, destination = sides
    movement = Movement(
        amount=amount, currency=CURRENCY, source_wallet_id=source.id, destination_wallet_id=destination.id
    )
    seal = _post(lines, transaction_id, movement)
    _enter(lines, source, (transaction_id, seal, -amount))
    _enter(lines, destination, (transaction_id, seal, amount))


def _post(lines: Lines, transaction_id: UUID, movement: Movement) -> bytes:
    source, destination = movement.source_wallet_id or NULL, movement.destination_wallet_id or NULL
    kind = "deposit" if source is NULL else "transfer"
    seal = transaction_seal(lines.seal_key, transaction_id, kind, movement, posted_at=lines.posted_at)
    said = (transaction_id, kind, movement.amount, CURRENCY, source, destination, lines.posted_at, _hex(seal))
    lines.transactions.append(_line(*said))
    return seal


def _enter(lines: Lines, wallet: Side, what: tuple[UUID, bytes, int]) -> None:
    transaction_id, seal, amount = what
    wallet.sequence += 1
    wallet.balance += amount
    wallet.seal = entry_seal(lines.seal_key, wallet.seal, seal, (wallet.id, wallet.sequence, amount, wallet.balance))
    said = (wallet.id, wallet.sequence, transaction_id, amount, wallet.balance, NULL, _hex(wallet.seal))
    lines.entries.append(_line(*said))


def _line(*columns: object) -> str:
    return "\t".join(map(str, columns)) + "\n"


def _hex(seal: bytes) -> str:
    return rf"\\x{seal.hex()}"
