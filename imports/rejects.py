"""The reject file: a line for every rule that a row breaks. It quotes no value: those are people's."""

import contextlib
import csv
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from domain.imports import Problem
from imports.source import Unreadable, lock

COLUMNS = ("row", "legacy_id", "field", "rule")


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    row_number: int
    legacy_id: str
    problems: list[Problem]


class Rejects:
    """A file that may run ahead of what was committed: those rows come again, and `write` cuts them off first."""

    def __init__(self, path: Path) -> None:
        """Open the file for this process only.

        Raises:
            Unreadable: another process writes it, or it cannot be locked.

        """
        self.path = path
        self._file = path.open("a+", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        try:
            lock(self._file, "writes this reject file")
        except Unreadable:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._size() and self._is_in_place():
            self.path.unlink()
        self._file.close()

    def write(self, rejected: Iterable[Rejected], committed: int) -> int:
        """Write behind the `committed` bytes, and bring it to the disk; return how many bytes the file has then.

        Raises:
            Unreadable: the file does not have those bytes, or was moved away.

        """
        if not self._has(committed) or not self._is_in_place():
            raise Unreadable(f"{self.path}: {committed} bytes of rejects were written and are not there: put them back")
        self._file.truncate(committed)
        rows = [
            (one.row_number, one.legacy_id, broken.field, broken.rule) for one in rejected for broken in one.problems
        ]
        if rows and not committed:
            self._writer.writerow(COLUMNS)
        self._writer.writerows(rows)
        if rows:
            self._file.flush()
            os.fsync(self._file.fileno())
        if rows and not committed:
            _sync_folder(self.path.parent)
        return self._size()

    def _has(self, committed: int) -> bool:
        """Return whether a line ends there: of another list, or an edited one, hardly any does."""
        return not committed or os.pread(self._file.fileno(), 1, committed - 1) == b"\n"

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _is_in_place(self) -> bool:
        return self.path.exists() and os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))


def _sync_folder(folder: Path) -> None:
    """Bring the name of a new file to the disk, as its content is (fsync(2)); some mounts and folders refuse that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
