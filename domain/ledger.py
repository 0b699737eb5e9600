"""The double-entry ledger: which movements the rules allow, and the entries that each one leaves.

Pure: the wallets are given, locked, and the clock is an argument. Amounts are minor units; an entry's
amount is what it adds to its wallet, so a transaction's entries sum to zero.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.bulk_transfers import Bulk, Mode, result
from domain.errors import Rejection
from domain.jobs import Claimed, Outcome, rejected, succeeded
from domain.transactions import KIND_OF, Movement, TransactionKind
from domain.velocity import CustomerKey, CustomerSpent, Velocity
from domain.wallets import LockedWallet, SystemWallet, WalletState, system_id

SEAL_BYTES = 16  # 128 bits of a keyed hash: forging one takes 2^128 tries, and half the space of 32.
NO_SEAL = b""  # What a wallet without entries has.
NO_BULKS: Mapping[UUID, Bulk] = MappingProxyType({})

EntryLine = tuple[UUID, int | None, int, int | None]  # Wallet, sequence, amount, balance after.
SealedLine = tuple[UUID | str, int | None, int, int | None]  # The same: a seal sees an id as its text.
Sealer = Callable[[tuple[object, ...]], bytes]


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction to write."""

    id: UUID
    kind: TransactionKind
    movement: Movement
    seal: bytes
    job_id: UUID | None = None  # Of an item of a bulk; otherwise the job has the transaction's id.


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
    customers: list[CustomerSpent] = []  # Likewise.
    posted_at: datetime


def settle(
    batch: list[Claimed],
    movements: Mapping[UUID, Movement],
    wallets: Mapping[UUID, LockedWallet],
    *,
    posted_at: datetime,
    seal_key: bytes,
    bulks: Mapping[UUID, Bulk] = NO_BULKS,
    velocity: Velocity | None = None,
) -> Settlement:
    """Decide each job of `batch` in turn against the wallets as the earlier ones left them.

    `movements` are by transaction, `bulks` by job. A movement's destination is named by `destination_wallet_id`
    only: numbers were looked up before. Without `velocity`, that is not limited.
    """
    spending = None if velocity is None else replace(velocity, customers=dict(velocity.customers))
    books = _Books(wallets=dict(wallets), seal_key=seal_key, posted_at=posted_at, velocity=spending)
    outcomes = []
    for job in batch:
        if job.id in bulks:
            outcomes.append(_settle_bulk(books, job.id, bulks[job.id], movements))
        elif code := books.move(job.id, KIND_OF[job.kind], movements[job.id]):
            outcomes.append(rejected(job.id, code))
        else:
            outcomes.append(succeeded(job.id, transaction_id=job.id))
    return Settlement(
        outcomes=outcomes,
        postings=books.postings,
        entries=books.entries,
        wallets=[one for wallet_id, one in books.wallets.items() if one is not wallets[wallet_id]],
        customers=spending.changed if spending else [],
        posted_at=posted_at,
    )


def _settle_bulk(books: "_Books", job_id: UUID, bulk: Bulk, movements: Mapping[UUID, Movement]) -> Outcome:
    """Decide the items in turn; where all or nothing is asked for, undo them at the first that the rules forbid."""
    mark = books.mark() if bulk.mode is Mode.ALL_OR_NOTHING else None
    codes = []
    for index, transaction_id in enumerate(bulk.movements):
        code = books.move(transaction_id, TransactionKind.TRANSFER, movements[transaction_id], job_id)
        if code and mark is not None:
            books.restore(mark)
            return rejected(job_id, code, index)
        codes.append(code)
    return succeeded(job_id, **result(bulk.movements, codes))


def reject(kind: TransactionKind, movement: Movement, books: Mapping[UUID, LockedWallet]) -> Rejection | None:
    """Return the first rule that forbids the movement, in the contract's order, or None."""
    return _reject(kind, movement, *_sides(movement, books))


def _sides(movement: Movement, books: Mapping[UUID, LockedWallet]) -> tuple[LockedWallet | None, LockedWallet | None]:
    source, destination = movement.source_wallet_id, movement.destination_wallet_id
    return (
        None if source is None else books.get(source),
        None if destination is None else books.get(destination),
    )


def _reject(
    kind: TransactionKind, movement: Movement, source: LockedWallet | None, destination: LockedWallet | None
) -> Rejection | None:
    if source is None and kind is not TransactionKind.DEPOSIT:
        return Rejection.SOURCE_NOT_FOUND
    if destination is None and kind is not TransactionKind.WITHDRAWAL:
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
    currency = movement.currency
    if source is not None and source.currency != currency:
        return Rejection.CURRENCY_MISMATCH
    if destination is not None and destination.currency != currency:
        return Rejection.CURRENCY_MISMATCH
    if source is not None and source.balance - source.held - movement.amount < source.balance_min:
        return Rejection.INSUFFICIENT_FUNDS
    if destination is not None and destination.balance + movement.amount > destination.balance_max:
        return Rejection.BALANCE_LIMIT_EXCEEDED
    return None


class _Mark(NamedTuple):
    """How books stood."""

    wallets: dict[UUID, LockedWallet]
    postings: int
    entries: int
    customers: dict[CustomerKey, CustomerSpent] | None


class _Books(msgspec.Struct, kw_only=True):
    """The wallets while a batch is being decided, and what it has written so far."""

    wallets: dict[UUID, LockedWallet]
    seal_key: bytes
    posted_at: datetime
    velocity: Velocity | None = None
    postings: list[Posting] = []
    entries: list[Entry] = []

    def move(
        self, transaction_id: UUID, kind: TransactionKind, movement: Movement, job_id: UUID | None = None
    ) -> Rejection | None:
        """Post the movement, unless a rule forbids it, which is returned. `job_id` is of a bulk's item."""
        source, destination = _sides(movement, self.wallets)
        code = _reject(kind, movement, source, destination)
        if code is None and source is not None and self.velocity is not None:
            spent = self.velocity.spend(source.id, source.spent, movement.currency, movement.amount)
            code = spent if isinstance(spent, Rejection) else None
            source = source if isinstance(spent, Rejection) else replace(source, spent=spent)
        if code is None:
            seal = transaction_seal(self.seal_key, transaction_id, kind, movement, posted_at=self.posted_at)
            posting = Posting(id=transaction_id, kind=kind, movement=movement, seal=seal, job_id=job_id)
            self.postings.append(posting)
            self._enter(posting, source, SystemWallet.CASH_IN, -movement.amount)
            self._enter(posting, destination, SystemWallet.CASH_OUT, movement.amount)
        return code

    def mark(self) -> "_Mark":
        """Return how it stands, for `restore`."""
        customers = None if self.velocity is None else self.velocity.customers.copy()
        return _Mark(self.wallets.copy(), len(self.postings), len(self.entries), customers)

    def restore(self, mark: "_Mark") -> None:
        self.wallets = mark.wallets
        if self.velocity is not None and mark.customers is not None:
            self.velocity.customers = mark.customers
        del self.postings[mark.postings :]
        del self.entries[mark.entries :]

    def _enter(self, posting: Posting, wallet: LockedWallet | None, system: SystemWallet, amount: int) -> None:
        """Enter one side of a posting: a customer's wallet, or else the system's, which nobody locks."""
        if wallet is None:
            line = (system_id(system, posting.movement.currency), None, amount, None)
            self._append(posting, NO_SEAL, line)
            return
        sequence, balance = wallet.sequence + 1, wallet.balance + amount
        seal = self._append(posting, wallet.seal, (wallet.id, sequence, amount, balance))
        self.wallets[wallet.id] = replace(wallet, sequence=sequence, balance=balance, seal=seal)

    def _append(self, posting: Posting, previous: bytes, line: EntryLine) -> bytes:
        seal = entry_seal(self.seal_key, previous, posting.seal, line)
        wallet_id, sequence, amount, balance = line
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
        return seal


def transaction_seal(
    seal_key: bytes, transaction_id: UUID, kind: str, movement: Movement, *, posted_at: datetime
) -> bytes:
    """Return the keyed hash over everything that a transaction says."""
    said = (
        transaction_id,
        kind,
        movement.amount,
        movement.currency,
        movement.source_wallet_id,
        movement.destination_wallet_id,
        movement.description,
        movement.external_reference,
        in_order(movement.metadata),
        posted_at,
    )
    return sealer(seal_key)(said)


def in_order(metadata: Mapping[str, str] | None) -> list[tuple[str, str]] | None:
    """Return metadata as it is sealed: in the order of its keys, and none where it is empty."""
    return sorted(metadata.items()) if metadata else None


def entry_seal(seal_key: bytes, previous: bytes, transaction: bytes, line: SealedLine) -> bytes:
    """Return the keyed hash over an entry, its transaction's seal and the seal of the wallet's entry before it."""
    return sealer(seal_key)((previous, transaction, *line))


@lru_cache(maxsize=4)
def sealer(seal_key: bytes) -> Sealer:
    """Return the keyed hash itself (BLAKE2b, RFC 7693), for who checks millions: over the values above, in their order.

    It has taken in the key: a copy of it saves each seal one of two blocks.
    """
    copy, encode = blake2b(key=seal_key, digest_size=SEAL_BYTES).copy, msgspec.msgpack.Encoder().encode

    def seal(said: tuple[object, ...]) -> bytes:
        digest = copy()
        digest.update(encode(said))
        return digest.digest()

    return seal
