"""The figures of the faults: the table that a run prints, what is kept of runs, and the page that tells of it.

`python -m tests.flows.figures docs/reliability.md` writes the page.
"""

import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import msgspec

import db.audit
from tests.flows.books import WAIT_SECONDS_MAX, Trial
from tests.flows.elsewhere import ELSEWHERE
from tests.flows.seeds import SEED
from tests.flows.trials import ROWS

PROPERTY = "fault trial"  # Of a test's report.
KEPT = Path(__file__).with_name("latest.json")
HEAD = "| fault | trials | jobs | in flight | lost | doubled | failed | recovery p50 | p99 | most | failing |"
RULE = "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
GIGABYTE = 2**30
RULE_OF_THREE = 3  # No event in n trials: at 95 % confidence its rate is at most 3/n (Hanley and Lippman-Hand, 1983).
P50, P99 = 0.5, 0.99
MISSED_SHARE_MAX = 0.5  # Of the strikes: where more met no job in flight, they prove little.

PAGE = f"""# Reliability

What happens to accepted requests when parts of the system are killed, frozen, cut off or lied to. Each trial is run
against real processes, a real PostgreSQL and a real Redis, under load. Clients write each acknowledgement to a log
on the disk, synced, before they count it. When the trial is over, that log is what the books are held against:

- every acknowledged request has a job, which ended once and as it had to, at most {WAIT_SECONDS_MAX:.0f} s late
  (I1, I2);
- each wallet holds what a few lines of Python make of the log and of how the jobs ended (I4, I6);
- what `GET /v1/jobs/{{id}}` says is the row (I7), and a listener is sent each event, rightly signed (I9);
- in between, all balances are read in one snapshot after the other, and their total is always the same;
- `tekana audit verify` finds nothing (all [invariants](#invariants), in the rows themselves).

`make faults` tries each row a few times, as every run of all tests does; `make faults-full` as often as the table
asks. `make faults-full ONLY=redis-is-frozen` tries some rows, by `pytest -k`, and `FAULT_TRIALS=3` each row three
times. A run prints its seed; `SEED=...` has it draw the same strikes and amounts again. A row keeps its figures until
it has been tried again at least as often.

## Figures

In flight are jobs that were accepted and not settled when the fault struck. Lost are acknowledged jobs that did not
end; doubled are transactions that no acknowledged request asked for, and wallets that hold more or less than the log
comes to. Failed are trials in which anything of the above did not hold, or anything else that their test asks for.
Recovery is from the fault's end to the end of the job that waited longest. The last column is the rule of three: after
n trials of which none lost or doubled anything or failed, at most 3/n of all trials would, at 95 % confidence. It is
empty, too, where most strikes met no job in flight, though they were aimed at them.

"""
TESTS = """
## Which test it is

| fault | test in `tests/flows` |
|---|---|
"""
OTHERS = """
## What is shown elsewhere

| input or event | test |
|---|---|
"""
INVARIANTS = """
## Invariants

What `tekana audit verify` looks for in the rows, on one snapshot, after each trial and whenever an operator asks.

"""
LIMITS = """
## What these trials do not show

- Delay and resets are a proxy's of TCP connections and not the kernel's, whose queue for it (netem) not every kernel
  has. Packets that are dropped are dropped by the kernel.
- A killed process is not a power cut: what the kernel was given reaches the disk.
- Each trial breaks one thing, or everything at once.
"""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a row's last run came to."""

    date: str
    machine: str
    seed: int
    trials: int
    jobs: int
    interrupted: int
    lost: int
    doubled: int
    missed: int = 0
    failed: int = 0
    recovery_seconds: tuple[float, float, float]  # The middle, the 99th percentile, the most.

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.failed)

    @property
    def says_something(self) -> bool:
        return self.trials >= RULE_OF_THREE and self.missed <= MISSED_SHARE_MAX * self.trials


def table(trials: Sequence[Trial]) -> str:
    """Return a Markdown table with a line for each fault, in the order of the table of trials."""
    return _table(results(trials))


def results(trials: Iterable[Trial]) -> dict[str, Result]:
    order = list(ROWS)
    ordered = sorted(trials, key=lambda trial: order.index(trial.fault))
    return {fault: _result(list(group)) for fault, group in groupby(ordered, key=lambda trial: trial.fault)}


def merge(path: Path, trials: Sequence[Trial]) -> None:
    """Keep a run's figures, unless a row has been tried more often, and as often as it asks for."""
    kept = read(path)
    new = {name: one for name, one in results(trials).items() if _replaces(one, kept.get(name), ROWS[name].full)}
    merged = {name: new.get(name) or kept[name] for name in ROWS if name in new or name in kept}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(merged), indent=1) + b"\n")


def read(path: Path = KEPT) -> dict[str, Result]:
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Result]) if path.exists() else {}


def page(kept: Mapping[str, Result]) -> str:
    runs = sorted({(one.date, one.machine) for one in kept.values()})
    days = "".join(f"{date}, {where}.\n" for date, where in runs)
    tests = "".join(f"| {name} | `{row.test}` |\n" for name, row in ROWS.items())
    others = "".join(f"| {what} | {', '.join(f'`{test}`' for test in where)} |\n" for what, where in ELSEWHERE.items())
    invariants = "".join(f"- {check}\n" for check in db.audit.CHECKS)
    return f"{PAGE}{days}\n{_table(kept)}{TESTS}{tests}{OTHERS}{others}{INVARIANTS}{invariants}{LIMITS}"


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    return f"{os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.system()} {platform.release()}"


def _result(trials: list[Trial]) -> Result:
    waits = sorted(trial.wait_seconds_max for trial in trials if trial.jobs) or [0.0]
    shares = [waits[min(int(len(waits) * share), len(waits) - 1)] for share in (P50, P99)]
    middle, nearly_all, most = (round(seconds, 2) for seconds in (*shares, waits[-1]))
    return Result(
        date=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        seed=SEED,
        trials=sum(trial.trials for trial in trials),
        jobs=sum(trial.jobs for trial in trials),
        interrupted=sum(trial.interrupted for trial in trials),
        lost=sum(trial.lost for trial in trials),
        doubled=sum(trial.doubled for trial in trials),
        missed=sum(trial.missed for trial in trials),
        failed=sum(trial.failed for trial in trials),
        recovery_seconds=(middle, nearly_all, most),
    )


def _replaces(new: Result, kept: Result | None, wanted: int) -> bool:
    """A failure is never hidden by many trials that had none before."""
    return kept is None or not new.is_clean or new.trials >= min(kept.trials, wanted)


def _table(kept: Mapping[str, Result]) -> str:
    return "".join(f"{line}\n" for line in [HEAD, RULE, *(_line(name, one) for name, one in kept.items())])


def _line(name: str, one: Result) -> str:
    wanted = ROWS[name].full
    tried = f"{one.trials:,}" if one.trials >= wanted else f"{one.trials:,} of {wanted:,}"
    counts = (f"{count:,}" for count in (one.jobs, one.interrupted, one.lost, one.doubled, one.failed))
    seconds = (f"{seconds:.1f} s" for seconds in one.recovery_seconds)
    bound = f"< {RULE_OF_THREE / one.trials:.2%}" if one.is_clean and one.says_something else ""
    return f"| {' | '.join([name, tried, *counts, *seconds, bound])} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(read()), encoding="utf-8")
