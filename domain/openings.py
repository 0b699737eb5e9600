"""Opening balances: what a wallet brought over from a previous platform, as the first posting of its history.

The other side is the currency's `opening` system wallet: its balance is minus all that was brought over.
"""

from datetime import datetime
from functools import lru_cache
from uuid import UUID

import msgspec

from domain.ledger import NO_SEAL, entry_seal, transaction_seal
from domain.transactions import Movement, TransactionKind
from domain.wallets import SystemWallet, system_id

DESCRIPTION = "Opening balance"  # What the wallet's statement says.
FIRST = 1  # An opening is its wallet's first entry, so that the entries' primary key refuses a second one.

balance_of = lru_cache(maxsize=None)(system_id)  # One for each currency, of which there are fewer than 200.


class Opening(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A transaction with its two entries: the wallet's, and the one of the system wallet, which nobody locks."""

    id: UUID
    movement: Movement
    source_wallet_id: UUID
    seal: bytes
    source_seal: bytes
    wallet_seal: bytes


def opening(transaction_id: UUID, movement: Movement, posted_at: datetime, seal_key: bytes) -> Opening:
    """Return the posting of a movement into a wallet that has no entry yet."""
    amount, wallet_id = movement.amount, movement.destination_wallet_id
    if wallet_id is None:
        raise ValueError("an opening balance has a wallet")
    source = balance_of(SystemWallet.OPENING, movement.currency)
    seal = transaction_seal(seal_key, transaction_id, TransactionKind.OPENING, movement, posted_at=posted_at)
    return Opening(
        id=transaction_id,
        movement=movement,
        source_wallet_id=source,
        seal=seal,
        source_seal=entry_seal(seal_key, NO_SEAL, seal, (source, None, -amount, None)),
        wallet_seal=entry_seal(seal_key, NO_SEAL, seal, (wallet_id, FIRST, amount, amount)),
    )
