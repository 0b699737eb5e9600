"""Source and target compared, row by row and in sum: each difference is named."""

from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path

import msgspec

import db.control_totals
import db.imported_customers
import db.imported_wallets
import domain.imported_customers
import domain.imported_wallets
from db.engine import Connection, transaction
from domain.control_totals import Totals, added, differences
from domain.imports import Problem
from imports.ahead import ahead
from imports.batches import Batch, Maker
from imports.files import in_order
from imports.rejects import Rejected
from imports.source import Source
from settings import Settings

MISSING = Problem("", "is not here")
Report = Callable[[int, int], None]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Where source and target differ. `file` is empty when it is a control total."""

    file: str
    row: int
    legacy_id: str
    field: str
    difference: str


def verify(paths: list[Path], config: Settings, report: Report) -> Iterator[Difference]:
    """Yield every difference between the files, which are all that were imported, and the database.

    Raises:
        Unreadable: a header is not one of ours, or somebody writes into a file.

    """
    totals = []
    for path in in_order(paths):
        with path.open("rb") as file:
            source = Totals()
            yield from _rows(path, file, config, (source, report))
            totals.append(source)
    with transaction(config.database_url) as tx:
        found = db.control_totals.totals(tx)
    for sentence in differences(added(totals), found):
        yield Difference(file="", row=0, legacy_id="", field="totals", difference=sentence)


def _rows(path: Path, file: BufferedReader, config: Settings, tally: tuple[Totals, Report]) -> Iterator[Difference]:
    totals, report = tally
    position, row_number = 0, 1
    for batch in ahead(Maker(Source(path, file), config)):
        totals.customers += len(batch.customers)
        totals.count(one.row for one in batch.wallets)
        with transaction(config.database_url) as tx:
            found = _compared(tx, batch)
        for one in batch.rejected + found:
            for problem in one.problems:
                yield Difference(
                    file=path.name,
                    row=one.row_number,
                    legacy_id=one.legacy_id,
                    field=problem.field,
                    difference=problem.rule,
                )
        report(batch.position - position, batch.row_number - row_number)
        position, row_number = batch.position, batch.row_number


def _compared(tx: Connection, batch: Batch) -> list[Rejected]:
    found: list[tuple[str, list[Problem]]] = []
    people = db.imported_customers.stored(tx, [one.legacy_id for one in batch.customers])
    for one in batch.customers:
        here = people.get(one.legacy_id)
        problems = [MISSING] if here is None else domain.imported_customers.differing(one, here)
        found.append((one.legacy_id, problems))
    purses = db.imported_wallets.stored(tx, [one.row.legacy_id for one in batch.wallets])
    for opened in batch.wallets:
        kept = purses.get(opened.row.legacy_id)
        problems = [MISSING] if kept is None else domain.imported_wallets.differing(opened.row, kept)
        found.append((opened.row.legacy_id, problems))
    return [
        Rejected(row_number=row, legacy_id=old_id, problems=problems)
        for row, (old_id, problems) in zip(batch.rows, found, strict=True)
    ]
