"""Money movements: what callers ask for, and what the ledger settles."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.errors import InvalidField
from domain.jobs import CallbackUrl, Claimed, Kind
from domain.money import Amount, Currency, require_currency
from domain.wallets import WalletNumber, parse_number

METADATA_KEYS_MAX = 50  # As card processors allow; 50 keys of full length still fit the 64 kB body.
Description = Annotated[str, msgspec.Meta(max_length=255, description="Shown on both statements.")]
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=255, description="The caller's own name for it.")]
MetadataKey = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
MetadataValue = Annotated[str, msgspec.Meta(max_length=500)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], msgspec.Meta(max_length=METADATA_KEYS_MAX)]


class TransactionKind(StrEnum):
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRANSFER = "transfer"
    OPENING = "opening"  # A balance brought over from a previous platform: no job asked for it.


KIND_OF = {
    Kind.DEPOSIT_CREATE: TransactionKind.DEPOSIT,
    Kind.WITHDRAWAL_CREATE: TransactionKind.WITHDRAWAL,
    Kind.TRANSFER_CREATE: TransactionKind.TRANSFER,
}


class _CashRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What deposits and withdrawals have in common: one wallet, and cash on the other side."""

    wallet_id: UUID
    amount: Amount
    currency: Currency
    description: Description | None = None
    external_reference: Reference | None = None
    callback_url: CallbackUrl | None = None

    def __post_init__(self) -> None:
        require_currency(self.currency)


class CreateDeposit(_CashRequest, frozen=True, kw_only=True):
    """Money into the wallet."""


class CreateWithdrawal(_CashRequest, frozen=True, kw_only=True):
    """Money out of the wallet."""


class TransferItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of `destination_wallet_id` and `destination_number` names the receiver."""

    source_wallet_id: UUID
    amount: Amount
    currency: Currency
    destination_wallet_id: UUID | None = None
    destination_number: WalletNumber | None = None
    description: Description | None = None
    metadata: Metadata | None = None

    def __post_init__(self) -> None:
        require_currency(self.currency)
        if (self.destination_wallet_id is None) == (self.destination_number is None):
            raise InvalidField("destination_wallet_id", "give either destination_wallet_id or destination_number")
        if self.destination_number is not None:
            parse_number(self.destination_number, "destination_number")


class CreateTransfer(TransferItem, frozen=True, kw_only=True):
    """One of `destination_wallet_id` and `destination_number` names the receiver."""

    callback_url: CallbackUrl | None = None


class Movement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The payload of a money job, whatever its kind. The system's side of a deposit or withdrawal stays None."""

    amount: int
    currency: str
    source_wallet_id: UUID | None = None
    destination_wallet_id: UUID | None = None
    destination_number: str | None = None
    description: str | None = None
    external_reference: str | None = None
    metadata: dict[str, str] | None = None


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A posted movement, as its parties see it. `amount` in minor units; `id` is the job's, unless that is a bulk.

    Opening balances have no job.
    """

    id: UUID
    kind: TransactionKind
    amount: int
    currency: str
    source_wallet_id: UUID | None
    destination_wallet_id: UUID | None
    description: str | None
    external_reference: str | None
    metadata: dict[str, Any]
    job_id: UUID | None  # None of an opening balance.
    posted_at: datetime


class StatementEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a wallet's statement. `amount` is signed; both amounts in minor units."""

    transaction_id: UUID
    kind: TransactionKind
    amount: int
    balance_after: int
    counterparty_number: str | None
    description: str | None
    posted_at: datetime


def deposit(request: CreateDeposit) -> Movement:
    return Movement(
        amount=request.amount,
        currency=request.currency,
        destination_wallet_id=request.wallet_id,
        description=request.description,
        external_reference=request.external_reference,
    )


def withdrawal(request: CreateWithdrawal) -> Movement:
    return Movement(
        amount=request.amount,
        currency=request.currency,
        source_wallet_id=request.wallet_id,
        description=request.description,
        external_reference=request.external_reference,
    )


def transfer(request: TransferItem) -> Movement:
    return Movement(
        amount=request.amount,
        currency=request.currency,
        source_wallet_id=request.source_wallet_id,
        destination_wallet_id=request.destination_wallet_id,
        destination_number=_number(request),
        description=request.description,
        metadata=request.metadata,
    )


def _number(request: TransferItem) -> str | None:
    return request.destination_number and parse_number(request.destination_number, "destination_number")


def movements(batch: Iterable[Claimed]) -> dict[UUID, Movement]:
    """Return what the jobs that are one movement each ask for, by job, whose id is the transaction's."""
    return {job.id: _decoder.decode(job.payload) for job in batch if job.kind in KIND_OF}


def numbers(wanted: Mapping[UUID, Movement]) -> set[str]:
    """Return the destinations that are named by number."""
    return {one.destination_number for one in wanted.values() if one.destination_number is not None}


def resolve(wanted: Mapping[UUID, Movement], ids: Mapping[str, UUID]) -> dict[UUID, Movement]:
    """Put wallet ids in the place of numbers; an unknown number leaves its movement without a destination."""
    return {
        transaction_id: one
        if one.destination_number is None
        else replace(one, destination_wallet_id=ids.get(one.destination_number), destination_number=None)
        for transaction_id, one in wanted.items()
    }


def touches(movement: Movement, wallets: Collection[UUID]) -> bool:
    return movement.source_wallet_id in wallets or movement.destination_wallet_id in wallets


def source_ids(wanted: Mapping[UUID, Movement]) -> set[UUID]:
    """Return the customers' wallets that the movements spend from."""
    return {one.source_wallet_id for one in wanted.values() if one.source_wallet_id is not None}


def wallet_ids(wanted: Mapping[UUID, Movement]) -> set[UUID]:
    """Return every customer's wallet that the movements touch."""
    sides = (side for one in wanted.values() for side in (one.source_wallet_id, one.destination_wallet_id))
    return {side for side in sides if side is not None}


_decoder = msgspec.json.Decoder(Movement)
