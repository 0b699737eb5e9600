"""What a run found: one JSON file for programs, one plot for people."""

import os
import platform
import statistics
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.bare import Bare
from bench.drain import Drain
from bench.idle import Idle
from bench.load import Round
from bench.webhooks import Webhooks

FOLDER = Path(__file__).parent


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    cores: int
    memory_gib: float
    kernel: str
    python: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `ratio` is the median round's settled transfers per second over pgbench's best median."""

    at: str
    machine: Machine
    rounds: list[Round]
    bare: list[Bare]
    idle: Idle
    webhooks: Webhooks
    drain: Drain
    settled_per_second: float
    bare_per_second: float
    ratio: float
    jobs_per_message: float


def report(rounds: list[Round], bare: list[Bare], *, idle: Idle, webhooks: Webhooks, drain: Drain) -> Report:
    settled = statistics.median(one.settled_per_second for one in rounds)
    best = statistics.median(one.best for one in bare)
    return Report(
        at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        machine=_machine(),
        rounds=rounds,
        bare=bare,
        idle=idle,
        webhooks=webhooks,
        drain=drain,
        settled_per_second=settled,
        bare_per_second=best,
        ratio=round(settled / best, 3),
        jobs_per_message=statistics.median(one.jobs_per_message for one in rounds),
    )


def write(found: Report) -> Path:
    path = FOLDER / "latest.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return path


def _machine() -> Machine:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cores=os.cpu_count() or 0,
        memory_gib=round(memory / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )
