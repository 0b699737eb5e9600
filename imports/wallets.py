"""Wallets of a batch: gather what is taken, decide which are rejected, write the others or, in a dry run, note them."""

from uuid import UUID

import db.import_keys
import db.imported_wallets
import db.legacy_ids
import db.states
import domain.imported_wallets
from db.engine import Connection
from db.import_keys import Key
from db.imported_wallets import Books
from domain.control_totals import Totals
from domain.customers import CustomerState
from domain.imported_wallets import ImportedWallet
from domain.imports import LegacyKind
from imports.batches import Batch
from imports.sorting import Settled, sort, taken


def settle(tx: Connection, batch: Batch, balance_max: int, *, is_dry: bool) -> Settled:
    rows = [one.row for one in batch.wallets]
    here = _open_customers(tx, {one.customer_legacy_id for one in rows})
    numbers = [one.number for one in rows if one.number is not None]
    known = domain.imported_wallets.Taken(
        legacy_ids=taken(tx, Key.WALLET, [one.legacy_id for one in rows], is_dry=is_dry),
        numbers=taken(tx, Key.NUMBER, numbers, is_dry=is_dry),
        customers=here.keys() | (_read(tx, rows) if is_dry else set()),
    )

    problems = domain.imported_wallets.duplicates(rows, known)
    good, rejected = sort(batch, batch.wallets, problems)

    if is_dry:
        db.import_keys.note(tx, Key.WALLET, [one.row.legacy_id for one in good])
        db.import_keys.note(tx, Key.NUMBER, [one.row.number for one in good if one.row.number is not None])
    else:
        books = Books(customers=here, balance_max=balance_max, posted_at=batch.posted_at)
        db.imported_wallets.insert(tx, good, books)
    totals = Totals()
    totals.count(one.row for one in good)
    return Settled(rejected=rejected, totals=totals)


def _open_customers(tx: Connection, legacy_ids: set[str]) -> dict[str, UUID]:
    """Return our ids of customers who are here and may have wallets; they stay so until this transaction ends."""
    here = db.legacy_ids.find(tx, LegacyKind.CUSTOMER, legacy_ids)
    states = db.states.lock_customers(tx, here.values())
    return {legacy_id: one for legacy_id, one in here.items() if states[one] is CustomerState.OPEN}


def _read(tx: Connection, rows: list[ImportedWallet]) -> set[str]:
    return db.import_keys.read(tx, Key.CUSTOMER, {one.customer_legacy_id for one in rows})
