"""The double-entry ledger: which movements the rules allow, and the entries that each one leaves.

Pure: the wallets are given, locked, and the clock is an argument. Amounts are minor units; an entry's
amount is what it adds to its wallet, so a transaction's entries sum to zero.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.errors import Rejection
from domain.jobs import Claimed, Outcome, rejected, succeeded
from domain.transactions import KIND_OF, Movement, TransactionKind
from domain.wallets import LockedWallet, SystemWallet, WalletState, system_id

SEAL_BYTES = 16  # 128 bits of a keyed hash: forging one takes 2^128 tries, and half the space of 32.
NO_SEAL = b""  # What a wallet without entries has.

EntryLine = tuple[UUID, int | None, int, int | None]  # Wallet, sequence, amount, balance after.


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction to write."""

    id: UUID
    kind: TransactionKind
    movement: Movement
    seal: bytes


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a posting. A system wallet's entry has no sequence, balance or chain: nobody locks that wallet."""

    transaction_id: UUID
    wallet_id: UUID
    amount: int
    sequence: int | None
    balance_after: int | None
    seal: bytes


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch comes to: one outcome a job, and what to write for those that succeeded."""

    outcomes: list[Outcome]
    postings: list[Posting]
    entries: list[Entry]
    wallets: list[LockedWallet]  # Those that changed, as they are now.
    posted_at: datetime


def settle(
    batch: list[Claimed],
    movements: Mapping[UUID, Movement],
    wallets: Mapping[UUID, LockedWallet],
    *,
    posted_at: datetime,
    seal_key: bytes,
) -> Settlement:
    """Decide each job of `batch` in turn against the wallets as the earlier ones left them.

    A movement's destination is named by `destination_wallet_id` only: numbers were looked up before.
    """
    books = _Books(wallets=dict(wallets), seal_key=seal_key, posted_at=posted_at)
    outcomes = []
    for job in batch:
        kind, movement = KIND_OF[job.kind], movements[job.id]
        if code := reject(kind, movement, books.wallets):
            outcomes.append(rejected(job.id, code))
        else:
            books.post(job.id, kind, movement)
            outcomes.append(succeeded(job.id, transaction_id=job.id))
    return Settlement(
        outcomes=outcomes,
        postings=books.postings,
        entries=books.entries,
        wallets=[books.wallets[wallet_id] for wallet_id in books.changed],
        posted_at=posted_at,
    )


def reject(kind: TransactionKind, movement: Movement, books: Mapping[UUID, LockedWallet]) -> Rejection | None:
    """Return the first rule that forbids the movement, in the contract's order, or None."""
    source = _book(books, movement.source_wallet_id)
    destination = _book(books, movement.destination_wallet_id)
    has_source = kind is not TransactionKind.DEPOSIT
    has_destination = kind is not TransactionKind.WITHDRAWAL
    if has_source and source is None:
        return Rejection.SOURCE_NOT_FOUND
    if has_destination and destination is None:
        return Rejection.DESTINATION_NOT_FOUND
    if source is not None and destination is not None and source.id == destination.id:
        return Rejection.SAME_WALLET
    return _reject_state(source, destination) or _reject_amount(movement, source, destination)


def _reject_state(source: LockedWallet | None, destination: LockedWallet | None) -> Rejection | None:
    if source is not None and source.state is WalletState.CLOSED:
        return Rejection.SOURCE_CLOSED
    if destination is not None and destination.state is WalletState.CLOSED:
        return Rejection.DESTINATION_CLOSED
    if source is not None and source.state is WalletState.FROZEN:
        return Rejection.SOURCE_FROZEN
    if destination is not None and destination.state is WalletState.FROZEN:
        return Rejection.DESTINATION_FROZEN
    return None


def _reject_amount(
    movement: Movement, source: LockedWallet | None, destination: LockedWallet | None
) -> Rejection | None:
    if any(side is not None and side.currency != movement.currency for side in (source, destination)):
        return Rejection.CURRENCY_MISMATCH
    if source is not None and source.balance - source.held - movement.amount < source.balance_min:
        return Rejection.INSUFFICIENT_FUNDS
    if destination is not None and destination.balance + movement.amount > destination.balance_max:
        return Rejection.BALANCE_LIMIT_EXCEEDED
    return None


def _book(books: Mapping[UUID, LockedWallet], wallet_id: UUID | None) -> LockedWallet | None:
    return None if wallet_id is None else books.get(wallet_id)


class _Books(msgspec.Struct, kw_only=True):
    """The wallets while a batch is being decided, and what it has written so far."""

    wallets: dict[UUID, LockedWallet]
    seal_key: bytes
    posted_at: datetime
    postings: list[Posting] = []
    entries: list[Entry] = []
    changed: dict[UUID, None] = {}  # Ids in the order of their first change.

    def post(self, transaction_id: UUID, kind: TransactionKind, movement: Movement) -> None:
        seal = transaction_seal(self.seal_key, transaction_id, kind, movement, posted_at=self.posted_at)
        posting = Posting(id=transaction_id, kind=kind, movement=movement, seal=seal)
        source = movement.source_wallet_id or system_id(SystemWallet.CASH_IN, movement.currency)
        destination = movement.destination_wallet_id or system_id(SystemWallet.CASH_OUT, movement.currency)
        self.postings.append(posting)
        self._enter(posting, source, -movement.amount)
        self._enter(posting, destination, movement.amount)

    def _enter(self, posting: Posting, wallet_id: UUID, amount: int) -> None:
        wallet = self.wallets.get(wallet_id)
        previous = NO_SEAL if wallet is None else wallet.seal
        sequence = None if wallet is None else wallet.sequence + 1
        balance = None if wallet is None else wallet.balance + amount
        seal = entry_seal(self.seal_key, previous, posting.seal, (wallet_id, sequence, amount, balance))
        self.entries.append(
            Entry(
                transaction_id=posting.id,
                wallet_id=wallet_id,
                amount=amount,
                sequence=sequence,
                balance_after=balance,
                seal=seal,
            )
        )
        if wallet is not None and sequence is not None and balance is not None:
            self.wallets[wallet_id] = replace(wallet, sequence=sequence, balance=balance, seal=seal)
            self.changed[wallet_id] = None


def transaction_seal(
    seal_key: bytes, transaction_id: UUID, kind: str, movement: Movement, *, posted_at: datetime
) -> bytes:
    """Return the keyed hash (BLAKE2b, RFC 7693) over everything that a transaction says."""
    said = (
        transaction_id,
        kind,
        movement.amount,
        movement.currency,
        movement.source_wallet_id,
        movement.destination_wallet_id,
        movement.description,
        movement.external_reference,
        sorted(movement.metadata.items()) if movement.metadata else None,
        posted_at,
    )
    return _seal(seal_key, said)


def entry_seal(seal_key: bytes, previous: bytes, transaction: bytes, line: EntryLine) -> bytes:
    """Return the keyed hash over an entry, its transaction's seal and the seal of the wallet's entry before it."""
    return _seal(seal_key, (previous, transaction, *line))


def _seal(seal_key: bytes, said: tuple[object, ...]) -> bytes:
    return blake2b(_encoder.encode(said), key=seal_key, digest_size=SEAL_BYTES).digest()


_encoder = msgspec.msgpack.Encoder()
