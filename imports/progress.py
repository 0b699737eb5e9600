"""How far it has come, for people: a bar with rate and time left, or, without a terminal, a line now and then."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_SECONDS = 5.0  # Between lines: a log of an hour is 720 of them.


class Meter:
    """Counts bytes, of which the end is known, and rows."""

    def __init__(self, console: Console, what: str, size: int) -> None:
        self._console, self._what, self._size = console, what, size
        self._bytes = self._skipped = self._rows = 0
        self._began = self._said = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(what, total=size, rate="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if not self._console.is_terminal:
            self._line()

    def report(self, count: int, rows: int) -> None:
        """Add bytes and rows; bytes without rows were done before, and say nothing of the speed."""
        self._bytes += count
        self._rows += rows
        if not rows:
            self._skipped += count
        self._bar.update(self._task, advance=count, rate=f"{self._rate():,.0f} rows/s")
        if not self._console.is_terminal and time.monotonic() - self._said >= LINE_SECONDS:
            self._line()

    def _rate(self) -> float:
        return self._rows / max(time.monotonic() - self._began, 0.001)

    def _line(self) -> None:
        self._said = time.monotonic()
        done = self._bytes - self._skipped
        left = (self._size - self._bytes) * (self._said - self._began) / done if done else 0
        share = 100 * self._bytes // max(self._size, 1)
        self._console.print(
            f"{self._what}: {share} %, {self._rows:,} rows, {self._rate():,.0f} rows/s, {left:.0f} s left",
            highlight=False,
        )
