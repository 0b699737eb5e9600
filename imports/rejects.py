"""The reject file: a line for every rule that a row breaks. It quotes no value: those are people's."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from domain.imports import Problem

COLUMNS = ("row", "legacy_id", "field", "rule")


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    row_number: int
    legacy_id: str
    problems: list[Problem]


class Rejects:
    """A file that may run ahead of what was committed: those rows come again, and `write` cuts them off first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self.path.stat().st_size:
            self.path.unlink()

    def write(self, rejected: Iterable[Rejected], committed: int) -> int:
        """Write behind the `committed` bytes, and bring it to the disk; return how many bytes the file has then."""
        self._file.truncate(min(committed, self.path.stat().st_size))
        rows = [
            (one.row_number, one.legacy_id, broken.field, broken.rule) for one in rejected for broken in one.problems
        ]
        if rows and not self.path.stat().st_size:
            self._writer.writerow(COLUMNS)
        self._writer.writerows(rows)
        if rows:
            self._file.flush()
            os.fsync(self._file.fileno())
        return self.path.stat().st_size
