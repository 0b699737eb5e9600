"""Customers of a batch: gather what is taken, decide who is rejected, write the others or, in a dry run, note them."""

import db.import_keys
import db.imported_customers
import domain.imported_customers
from db.engine import Connection
from db.import_keys import Key
from domain.control_totals import Totals
from imports.batches import Batch
from imports.sorting import Settled, sort, taken


def settle(tx: Connection, batch: Batch, *, is_dry: bool) -> Settled:
    keys = {
        Key.CUSTOMER: [one.legacy_id for one in batch.customers],
        Key.EMAIL: [one.email for one in batch.customers],
        Key.NATIONAL_ID: [one.national_id_index for one in batch.customers],
    }
    old_ids, emails, national_ids = (taken(tx, key, values, is_dry=is_dry) for key, values in keys.items())
    known = domain.imported_customers.Taken(legacy_ids=old_ids, emails=emails, national_ids=national_ids)

    problems = domain.imported_customers.duplicates(batch.customers, known)
    good, rejected = sort(batch, batch.customers, problems)

    if is_dry:
        db.import_keys.note(tx, Key.CUSTOMER, [one.legacy_id for one in good])
        db.import_keys.note(tx, Key.EMAIL, [one.email for one in good])
        db.import_keys.note(tx, Key.NATIONAL_ID, [one.national_id_index for one in good])
    else:
        db.imported_customers.insert(tx, good)
    return Settled(rejected=rejected, totals=Totals(customers=len(good)))
