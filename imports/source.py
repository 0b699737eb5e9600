"""A file of a previous platform: CSV (RFC 4180) in UTF-8, read record by record, from any record on."""

import csv
import fcntl
import hashlib
import os
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from domain.errors import InvalidField
from domain.imports import Header, Problem, header

FIELD_MAX = 4_096  # Characters: the longest good value has a few hundred.
# Characters up to which the end of a value in quotes is looked for. What stands in between is no record of its own,
# whatever it looks like: somebody may have chosen such a name.
QUOTED_MAX = 65_536
NOTHING = ("",) * 8  # The values of a record that is none.
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"  # Spreadsheets begin UTF-8 with it.


class Unreadable(Exception):
    """The file as a whole cannot be imported."""


class Record(msgspec.Struct, frozen=True, gc=False):
    row_number: int  # As a spreadsheet counts: the header is 1.
    values: tuple[str, ...]  # In the order of `domain.imports`.
    problem: Problem | None  # Of the row as a whole.


class Version(NamedTuple):
    """What changes when somebody writes into an open file."""

    size: int
    modified_ns: int


def version(file: BufferedReader) -> Version:
    found = os.fstat(file.fileno())
    return Version(found.st_size, found.st_mtime_ns)


class Source:
    """An open file. `position` is the byte behind the last record that was read."""

    def __init__(self, path: Path, file: BufferedReader, before: Version | None = None) -> None:
        """`before`: what the file was when the caller began with it, if that was earlier."""
        self.path, self.position = path, 0
        self._file, self._version = file, before or version(file)
        self._has_broken = False
        self._lines_read = 0  # Since the last record ended.
        csv.field_size_limit(QUOTED_MAX)
        self._reader = csv.reader(self._lines(), strict=True)
        self.header = self._header()
        self.row_number = 1

    def _header(self) -> Header:
        try:
            return header(next(self._reader))
        except (InvalidField, StopIteration, csv.Error) as error:
            said = "it is empty" if isinstance(error, StopIteration) else f"its header: {error}"
            raise Unreadable(f"{self.path.name}: {said}") from None

    @property
    def identity(self) -> tuple[int, int]:
        """Return what tells the open file from another that has taken its name."""
        found = os.fstat(self._file.fileno())
        return found.st_dev, found.st_ino

    def require_unchanged(self) -> None:
        """Refuse what was read of a file that is another one by now: its rows may be cut in two, and its end is none.

        Raises:
            Unreadable: somebody has written into it.

        """
        if version(self._file) != self._version:
            raise Unreadable(f"{self.path.name}: somebody wrote into it while it was read; go on with it as it was")

    def go_to(self, position: int, row_number: int) -> None:
        """Go on behind the record of this number, which ends at this byte."""
        if position:
            self._file.seek(position)
            self.position, self.row_number = position, row_number
            self._reader = csv.reader(self._lines(), strict=True)

    def records(self) -> Iterator[Record]:
        width, pick = self.header.width, self.header.pick
        while True:
            self._lines_read, began = 0, self.position
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield self._broken(error)
                continue
            self.row_number += 1
            if len(row) == width and not self._has_broken and not self._is_long(row, began):
                row.append("")
                yield Record(self.row_number, pick(row), None)
            elif row:
                yield Record(self.row_number, NOTHING, self._whole(row))

    def _broken(self, error: csv.Error) -> Record:
        """Return what is said of the lines of a record that is none: one problem, which names them all."""
        first, self.row_number, self._has_broken = self.row_number + 1, self.row_number + self._lines_read, False
        behind = f", nor is what stands behind it, up to row {self.row_number}" if self.row_number > first else ""
        return Record(first, NOTHING, Problem("", f"is no CSV{behind}: {error}"))

    def _is_long(self, row: list[str], began: int) -> bool:
        return self.position - began > FIELD_MAX and any(len(value) > FIELD_MAX for value in row)

    def _whole(self, row: list[str]) -> Problem:
        if self._has_broken:
            self._has_broken = False
            return Problem("", "is not UTF-8")
        if len(row) == self.header.width:
            return Problem("", f"has a value of more than {FIELD_MAX:,} characters")
        return Problem("", f"has {len(row)} values; the header names {self.header.width}")

    def _lines(self) -> Iterator[str]:
        for line in self._file:
            self._lines_read += 1
            self.position += len(line)
            try:
                text = line.decode()
            except UnicodeDecodeError:
                self._has_broken, text = True, line.decode(errors="replace")
            yield text.removeprefix(BYTE_ORDER_MARK) if self.position == len(line) else text


def digest(file: BufferedReader) -> bytes:
    """Return what tells this content from every other, and leave the file at its beginning."""
    found = hashlib.file_digest(file, "sha256").digest()
    file.seek(0)
    return found


def lock(file: IO[Any], whose: str) -> None:
    """Keep an open file to this process, until it is closed; `whose` says what another one does with it.

    Raises:
        Unreadable: another process has it, or files of this folder cannot be locked.

    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Unreadable(f"{Path(file.name).name}: another process {whose}") from None
    except OSError as error:
        raise Unreadable(f"{Path(file.name).name}: cannot be locked: {error.strerror}") from None
