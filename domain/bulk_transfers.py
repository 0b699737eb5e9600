"""Bulk transfers: up to a thousand transfers that are one job, one key and one commit, applied in their order."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

import domain.transactions
from domain.errors import MESSAGES, Rejection
from domain.jobs import CallbackUrl, Claimed, JobError, JobState, Kind
from domain.transactions import Movement, TransferItem

ITEMS_MAX = 1_000  # As many as a batch has jobs: one bulk holds its wallets for no longer than a batch of transfers.
INDEX_BITS = 16  # Two bytes, the last four digits of an id, for an index below 1,000.


class Mode(StrEnum):
    INDEPENDENT = "independent"  # Each item succeeds or is rejected by itself.
    ALL_OR_NOTHING = "all_or_nothing"  # The first item that is rejected rejects the job, and nothing moves.


Items = Annotated[
    list[TransferItem],
    msgspec.Meta(
        min_length=1, max_length=ITEMS_MAX, description="Applied in this order: one may spend what came before."
    ),
]


class CreateBulkTransfer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each item has the fields of a transfer; `callback_url` is of the whole."""

    mode: Mode
    items: Items
    callback_url: CallbackUrl | None = None


class BulkTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of `bulk_transfer.create`."""

    mode: Mode
    items: list[Movement]


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """A bulk that is about to be settled; its items by the ids of their transactions, in order."""

    mode: Mode
    movements: dict[UUID, Movement]


class ItemOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an item: the transaction that it made, or why a rule refused it."""

    index: int
    state: JobState
    transaction_id: UUID | UnsetType = UNSET
    error: JobError | UnsetType = UNSET


def payload(request: CreateBulkTransfer) -> BulkTransfer:
    return BulkTransfer(mode=request.mode, items=[domain.transactions.transfer(item) for item in request.items])


def transaction_ids(job_id: UUID, count: int) -> list[UUID]:
    """Return the ids of the items' transactions: the job's, with the item's index in the place of its last 16 bits.

    So the items stand where the job stands in the order of arrival, one after the other; and whoever settles the job
    a second time meets the same ids. What is left of a UUIDv7's random bits tells jobs of one millisecond apart.
    """
    first = job_id.int >> INDEX_BITS << INDEX_BITS
    return [UUID(int=first + index) for index in range(count)]


def bulks(batch: Iterable[Claimed]) -> dict[UUID, Bulk]:
    return {job.id: _bulk(job) for job in batch if job.kind is Kind.BULK_TRANSFER_CREATE}


def _bulk(job: Claimed) -> Bulk:
    asked = _decoder.decode(job.payload)
    ids = transaction_ids(job.id, len(asked.items))
    return Bulk(mode=asked.mode, movements=dict(zip(ids, asked.items, strict=True)))


def movements(wanted: Mapping[UUID, Bulk]) -> dict[UUID, Movement]:
    """Return what the bulks ask for together, by transaction."""
    return {transaction_id: one for bulk in wanted.values() for transaction_id, one in bulk.movements.items()}


def result(transaction_ids: Iterable[UUID], codes: Sequence[Rejection | None]) -> dict[str, Any]:
    """Return what became of the items, in order: for each, why it was rejected, or None."""
    rejections = len(codes) - codes.count(None)
    ended = zip(transaction_ids, codes, strict=True)
    return {
        "succeeded": len(codes) - rejections,
        "rejected": rejections,
        "items": [_outcome(index, transaction_id, code) for index, (transaction_id, code) in enumerate(ended)],
    }


def _outcome(index: int, transaction_id: UUID, code: Rejection | None) -> ItemOutcome:
    if code is None:
        return ItemOutcome(index=index, state=JobState.SUCCEEDED, transaction_id=transaction_id)
    error = JobError(code=code, message=MESSAGES[code])
    return ItemOutcome(index=index, state=JobState.REJECTED, error=error)


_decoder = msgspec.json.Decoder(BulkTransfer)
