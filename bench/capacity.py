"""The table of docs/operations.md that says what one core does: what bench/latest.json holds, divided.

`make docs` writes it anew, and a test compares.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.idle import Idle
from bench.load import Round
from bench.report import FOLDER, Machine
from bench.webhooks import Webhooks

LATEST = FOLDER / "latest.json"
PART = re.compile(r"<!-- generated: capacity -->\n.*?<!-- end -->\n", re.DOTALL)
WANTED_PER_SECOND = 1_000  # What the last line is worked out for.


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a report that the table tells."""

    at: str
    machine: Machine
    rounds: list[Round]
    idle: Idle
    settled_per_second: float
    ratio: float
    webhooks: Webhooks | None = None  # Reports from before webhooks were measured have none.

    @property
    def settled_per_core(self) -> float:
        return self.settled_per_second / self.machine.cores


def rendered(page: str, report: bytes) -> str:
    """Return the page with the table as it ought to be.

    Raises:
        ValueError: the page has not one place for it.

    """
    found = msgspec.json.decode(report, type=Measured)
    lines = "\n".join(_lines(found))
    result, places = PART.subn(f"<!-- generated: capacity -->\n\n{lines}\n\n<!-- end -->\n", page)
    if places != 1:
        raise ValueError(f"the page has {places} places for the table; expected 1")
    return result


def _lines(found: Measured) -> Iterator[str]:
    yield f"Measured {found.at[:10]} on {found.machine.cores} cores, Python {found.machine.python}."
    yield ""
    yield from ("| what | figure |", "|---|--:|")
    for what, figure in _rows(found):
        yield f"| {what} | {figure} |"


def _rows(found: Measured) -> Iterator[tuple[str, str]]:
    p50, p99 = (max(getattr(one.accepted, name) for one in found.rounds) for name in ("p50_ms", "p99_ms"))
    yield "transfers from HTTP to settled, a second, all cores together", f"{found.settled_per_second:,.0f}"
    yield "the same, of one core", f"{found.settled_per_core:,.0f}"
    yield "the same, in bare transactions of pgbench on the same server", f"{found.ratio:.2f}"
    yield "accepting a transfer (202) at that load, median of the slowest round", f"{p50:.0f} ms"
    yield "accepting a transfer (202) at that load, 99th percentile of the slowest round", f"{p99:.0f} ms"
    yield "one transfer at a time, from POST to `succeeded`, median", f"{found.idle.p50_ms:.0f} ms"
    yield "one transfer at a time, from POST to `succeeded`, 99th percentile", f"{found.idle.p99_ms:.0f} ms"
    if found.webhooks is not None:
        yield "webhooks of one worker, a second", f"{found.webhooks.deliveries_per_second:,.0f}"
    cores = WANTED_PER_SECOND / found.settled_per_core
    yield f"cores for {WANTED_PER_SECOND:,} transfers a second, PostgreSQL's included", f"{cores:.1f}"


def main(path: Path) -> None:
    path.write_text(rendered(path.read_text(encoding="utf-8"), LATEST.read_bytes()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
