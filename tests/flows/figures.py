"""The table of faults: what was tried how often, and what came of it."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from tests.flows.books import Trial

PROPERTY = "fault trial"  # Of a test's report.
HEAD = "| fault | trials | jobs | in flight when it struck | lost | doubled | longest wait after the return |"
WHAT = """What `make faults-full` printed: real processes, real kills, under load. After each trial every accepted
request is reconciled with the ledger, and the audit runs."""
RULE = "|---|--:|--:|--:|--:|--:|--:|"
GIGABYTE = 2**30


def table(trials: Sequence[Trial]) -> str:
    """Return a Markdown table with a line for each fault, in the order in which they were first tried."""
    order = list(dict.fromkeys(trial.fault for trial in trials))
    ordered = sorted(trials, key=lambda trial: order.index(trial.fault))
    lines = [_line(fault, list(group)) for fault, group in groupby(ordered, key=lambda trial: trial.fault)]
    return "".join(f"{line}\n" for line in [HEAD, RULE, *lines])


def _line(fault: str, trials: list[Trial]) -> str:
    sums = (sum(getattr(trial, name) for trial in trials) for name in ("jobs", "interrupted", "lost", "doubled"))
    wait = max(trial.wait_seconds_max for trial in trials)
    cells = [fault, str(len(trials)), *(f"{total:,}" for total in sums), f"{wait:.1f} s"]
    return f"| {' | '.join(cells)} |"


def write(path: Path, trials: Sequence[Trial]) -> None:
    """Write the table with the day and the machine that it is from."""
    today = datetime.now(UTC).date().isoformat()
    path.write_text(f"# Faults\n\n{WHAT}\n\n{today}, {machine()}.\n\n{table(trials)}", encoding="utf-8")


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    return f"{os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.system()} {platform.release()}"
