"""Files of one call: customers before wallets, each from where it stood to its end."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path

import msgspec
from msgspec.structs import replace

from db.imports import Progress
from domain.control_totals import Totals, less
from domain.imports import FileKind
from imports.ahead import ahead
from imports.batches import Maker
from imports.rejects import Rejects
from imports.source import Source, digest, lock, version
from imports.targets import Target

Report = Callable[[int, int], None]  # Bytes and rows that were done since the last time.


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file. `rows` and `brought` are of this call, the others of all calls for this file."""

    file: str
    kind: FileKind
    rows: int
    imported: int
    rejected: int
    rejects: str | None
    totals: Totals
    brought: Totals


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Return the files with those of customers first: a wallet needs its owner.

    Raises:
        Unreadable: a header is not one of ours.

    """
    return sorted(paths, key=lambda path: _kind(path) is FileKind.WALLETS)


def _kind(path: Path) -> FileKind:
    with path.open("rb") as file:
        return Source(path, file).header.kind


def bring(path: Path, rejects_path: Path, target: Target, report: Report) -> Outcome:
    """Bring the rest of a file over; return what became of it.

    Raises:
        Unreadable: the header is not one of ours, another process has the file, or somebody writes into it.

    """
    with _alone(path) as file:
        before, found = version(file), digest(file)
        source = Source(path, file, before)
        source.require_unchanged()
        one = target.begin(found, source.header.kind, path.name)
        report(one.progress.position, 0)
        if one.is_finished:
            report(path.stat().st_size - one.progress.position, 0)
            return _outcome((path, rejects_path), source.header.kind, one.progress, one.progress)
        source.go_to(one.progress.position, one.progress.row_number)
        first = one.progress
        with Rejects(rejects_path) as rejects:
            for batch in ahead(Maker(source, target.config, target.batch_rows)):
                after = target.settle(one, batch, rejects)
                report(after.position - one.progress.position, after.row_number - one.progress.row_number)
                one = replace(one, progress=after)
    return _outcome((path, rejects_path), source.header.kind, first, one.progress)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[BufferedReader]:
    """Open the file for this process only: two would settle the same rows."""
    with path.open("rb") as file:
        lock(file, "has it in hand")
        yield file


def _outcome(paths: tuple[Path, Path], kind: FileKind, before: Progress, now: Progress) -> Outcome:
    path, rejects_path = paths
    return Outcome(
        file=str(path),
        kind=kind,
        rows=now.row_number - before.row_number,
        imported=now.imported,
        rejected=now.rejected,
        rejects=str(rejects_path) if now.rejected else None,
        totals=now.totals,
        brought=less(now.totals, before.totals),
    )
