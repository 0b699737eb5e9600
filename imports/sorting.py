"""The good rows of a batch, and the others with their reasons."""

from collections.abc import Collection
from typing import TypeVar

import msgspec

import db.import_keys
from db.engine import Connection
from db.import_keys import Key
from domain.control_totals import Totals
from domain.imported_customers import SealedCustomer
from domain.imported_wallets import OpenedWallet
from domain.imports import Problem
from imports.batches import Batch
from imports.rejects import Rejected

T = TypeVar("T", SealedCustomer, OpenedWallet)


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch. `totals` are of its good rows."""

    rejected: list[Rejected]
    totals: Totals


def sort(batch: Batch, candidates: list[T], problems: list[list[Problem]]) -> tuple[list[T], list[Rejected]]:
    """Return the good ones, and all of the batch that were rejected, in the order of the file."""
    good, rejected = [], list(batch.rejected)
    for row_number, one, found in zip(batch.rows, candidates, problems, strict=True):
        if found:
            old_id = one.legacy_id if isinstance(one, SealedCustomer) else one.row.legacy_id
            rejected.append(Rejected(row_number=row_number, legacy_id=old_id, problems=found))
        else:
            good.append(one)
    return good, sorted(rejected, key=lambda one: one.row_number)


def taken(tx: Connection, key: Key, values: Collection[str], *, is_dry: bool) -> set[str]:
    """Return the keys that somebody has; in a dry run, also those that an earlier row would have by then."""
    here = db.import_keys.taken(tx, key, values)
    return here | db.import_keys.read(tx, key, values) if is_dry else here
