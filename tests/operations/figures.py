"""The table of operations: what was tried how often, what it came to, and on which machine."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import msgspec

from tests.flows.books import Trial
from tests.flows.figures import machine

PROPERTY = "operation"  # Of a test's report.
HEAD = "| operation | trials | jobs | lost | doubled | seconds, middle | seconds, most | the seconds are |"
RULE = "|---|--:|--:|--:|--:|--:|--:|---|"
WHAT = """What `make operations` printed: real servers and processes, under load where jobs are counted. After each
trial every accepted request is reconciled with the ledger, and the audit runs."""
WAIT = "the longest wait of a job after the return"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What one trial came to."""

    name: str
    jobs: int
    lost: int
    doubled: int
    seconds: float
    meaning: str  # Of the seconds.


def of_load(trial: Trial) -> Operation:
    """Return a trial of the flows as one of operations."""
    seconds = trial.wait_seconds_max
    return Operation(
        name=trial.fault, jobs=trial.jobs, lost=trial.lost, doubled=trial.doubled, seconds=seconds, meaning=WAIT
    )


def table(operations: Sequence[Operation]) -> str:
    """Return a Markdown table with a line for each operation and meaning, in the order of the first trials."""
    order = list(dict.fromkeys((one.name, one.meaning) for one in operations))
    ordered = sorted(operations, key=lambda one: order.index((one.name, one.meaning)))
    groups = groupby(ordered, key=lambda one: (one.name, one.meaning))
    return "".join(f"{line}\n" for line in [HEAD, RULE, *(_line(list(group)) for _, group in groups)])


def _line(trials: list[Operation]) -> str:
    first, seconds = trials[0], sorted(one.seconds for one in trials)
    sums = (sum(getattr(one, name) for one in trials) for name in ("jobs", "lost", "doubled"))
    cells = [
        first.name,
        str(len(trials)),
        *(f"{total:,}" for total in sums),
        f"{seconds[len(seconds) // 2]:.1f}",
        f"{seconds[-1]:.1f}",
        first.meaning,
    ]
    return f"| {' | '.join(cells)} |"


def write(path: Path, operations: Sequence[Operation]) -> None:
    """Write the table with the day and the machine that it is from."""
    today = datetime.now(UTC).date().isoformat()
    text = f"# Operations, measured\n\n{WHAT}\n\n{today}, {machine()}.\n\n{table(operations)}"
    path.write_text(text, encoding="utf-8")
