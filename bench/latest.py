"""bench/latest.json: what each part found when it was measured last, and the figures that are looked for on top."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.figures import middle
from bench.machine import Machine
from bench.options import Options

PATH = Path(__file__).parent / "latest.json"

# Where each figure on top comes from: a part, and the way to it.
FIGURES = {
    "pgbench_tps": "headline.pgbench_tps",
    "transfers_per_second": "headline.transfers_per_second",
    "ratio_to_pgbench": "headline.ratio_to_pgbench",
    "jobs_per_message": "headline.jobs_per_message",
    "rss_mb": "headline.rss_mb",
    "accept_ms": "half.accept_ms",
    "settle_ms": "half.settle_ms",
    "idle_ms": "idle.wait_ms",
    "bulk_transfers_per_second": "bulk.bulk_transfers_per_second",
    "bulk_ratio_to_pgbench": "bulk.bulk_ratio_to_pgbench",
    "hot_wallet_per_second": "hot.hot_wallet_per_second",
    "hot_wallet_ratio": "hot.hot_wallet_ratio",
    "settle_only_per_second": "settle.settle_only_per_second",
    "settle_only_ratio": "settle.settle_only_ratio",
    "chain_cost_percent": "chain.chain_cost_percent",
    "two_workers_ratio": "workers.ratio_of_two_to_one",
    "webhooks_per_second": "webhooks.deliveries_per_second",
    "growth": "growth.ratios",
    "worst_page_ratio": "growth.worst_page_ratio",
    "audit_seconds": "growth.audit_seconds",
    "import": "import",
    "soak": "soak",
    "overload": "overload",
}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A part: the middle of its runs, and each of them. The audit found nothing after any."""

    at: str
    rounds: int
    machine: Machine
    options: Options
    audit_seconds: float
    middle: Any
    runs: list[Any]


class Latest(msgspec.Struct, frozen=True, kw_only=True):
    machine: Machine | None = None
    parts: dict[str, Result] = {}


def result(runs: Sequence[Any], *, machine: Machine, options: Options, audit_seconds: float) -> Result:
    at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Result(
        at=at,
        rounds=len(runs),
        machine=machine,
        options=options,
        audit_seconds=round(audit_seconds, 1),
        middle=middle(runs),
        runs=list(runs),
    )


def read(content: bytes) -> Latest:
    return msgspec.json.decode(content, type=Latest)


def merged(latest: Latest, name: str, found: Result) -> Latest:
    """Return the file with one part measured anew; the others keep what they have."""
    return Latest(machine=found.machine, parts={**latest.parts, name: found})


def figures(parts: Mapping[str, Result]) -> dict[str, Any]:
    """Return the figures on top, as far as their parts have been measured."""
    measured = {name: parts[part] for name, way in FIGURES.items() if (part := way.partition(".")[0]) in parts}
    found = {name: at(part.middle, FIGURES[name]) for name, part in measured.items()}
    return {name: value for name, value in found.items() if value is not None}


def written(latest: Latest) -> bytes:
    """Return the file's content: figures on top, then the parts that they come from."""
    whole = {"machine": latest.machine, **figures(latest.parts), "parts": latest.parts}
    return msgspec.json.format(msgspec.json.encode(whole)) + b"\n"


def load(path: Path) -> Latest:
    """Read the file, which need not be there yet."""
    return read(path.read_bytes()) if path.exists() else Latest()


def add(path: Path, name: str, found: Result) -> Latest:
    """Write one part into the file."""
    after = merged(load(path), name, found)
    path.write_bytes(written(after))
    return after


def at(found: Any, way: str) -> Any:
    """Return what lies there in a part's result, or None; the first name of `way` is the part's own."""
    for name in way.split(".")[1:]:
        found = None if found is None else found.get(name)
    return found
