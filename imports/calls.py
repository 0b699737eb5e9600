"""The calls of the operator: bring files over, or only check them; and what came of it, in sum."""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

import db.control_totals
from db.engine import engine, transaction
from domain.control_totals import Totals, added, differences
from imports.batches import ROWS
from imports.books import Books
from imports.dry_runs import DryRun
from imports.files import Report, bring, in_order
from imports.source import Unreadable
from imports.summaries import Summary
from imports.targets import Target
from settings import Settings


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator asked for. `rejects` None: each reject file stands beside its source.

    Of a dry run it has a name of its own: that of the import is the only list of what did not come over.
    """

    paths: Sequence[Path]
    rejects: Path | None = None
    expected: Totals | None = None
    is_dry: bool = False
    batch_rows: int = ROWS

    def rejects_of(self, path: Path) -> Path:
        return (self.rejects or path.parent) / f"{path.stem}.{'check' if self.is_dry else 'rejects'}.csv"


def run(call: Call, config: Settings, report: Report) -> Summary:
    """Bring the files over; a call that was interrupted goes on where it stood.

    Raises:
        Unreadable: a file as a whole cannot be imported.

    """
    rejects = {call.rejects_of(path).resolve() for path in call.paths}
    if len(rejects) < len(call.paths):
        raise Unreadable("two of the files would have the same reject file: call them differently, or once")
    if taken := rejects.intersection(path.resolve() for path in call.paths):
        raise Unreadable(f"{taken.pop().name} is a reject file's name: call the source differently, or say --rejects")
    if not call.is_dry:
        return _summed(call, Books(config, call.batch_rows), report)
    with engine(config.database_url).connect() as connection:
        connection.detach()  # It is closed at the end, and what was noted goes with it.
        return _summed(call, DryRun(config, call.batch_rows, connection), report)


def _summed(call: Call, target: Target, report: Report) -> Summary:
    began = time.monotonic()
    before = _totals(target.config)
    files = [bring(path, call.rejects_of(path), target, report) for path in in_order(call.paths)]
    after = _totals(target.config)
    totals = added(one.totals for one in files)
    wrong = [] if call.expected is None else differences(call.expected, totals)
    if not call.is_dry:
        wrong += differences(added([before, *(one.brought for one in files)]), after)
    seconds = time.monotonic() - began
    rows = sum(one.rows for one in files)
    return Summary(
        dry_run=call.is_dry,
        files=files,
        totals=totals,
        before=before,
        after=after,
        differences=wrong,
        rows=rows,
        rejected=sum(one.rejected for one in files),
        seconds=round(seconds, 3),
        rows_per_second=round(rows / seconds),
    )


def _totals(config: Settings) -> Totals:
    with transaction(config.database_url) as tx:
        return db.control_totals.totals(tx)
