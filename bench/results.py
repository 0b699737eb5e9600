"""The table of docs/benchmarks: each figure, its value in every run, when and on what it was measured."""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.latest import FIGURES, Latest, Result, at

PLOTS = {
    "clients": "Throughput and latency against connections",
    "half": "Latency, idle and at half load",
    "growth": "Pages, small and grown",
}


def lines(found: Latest) -> Iterator[str]:
    yield from ("| figure | middle | each run | measured |", "|---|--:|---|---|")
    for name, way in FIGURES.items():
        if (part := found.parts.get(way.partition(".")[0])) is not None:
            yield from _rows(name, way, part)
    for about, machine in _machines(found):
        yield ""
        yield f"Machine of {about}: {machine}."
    for name, title in PLOTS.items():
        if name in found.parts:
            yield ""
            yield f"![{title}]({name}.svg)"


def _rows(name: str, way: str, part: Result) -> Iterator[str]:
    runs = [dict(flat(name, at(run, way))) for run in part.runs]
    for figure, value in flat(name, at(part.middle, way)):
        each = ", ".join(_shown(run[figure]) for run in runs if figure in run) if len(runs) > 1 else ""
        yield f"| `{figure}` | {_shown(value)} | {each} | {part.at[:10]} |"


def flat(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield the numbers in it, each with its full name."""
    if isinstance(value, Mapping):
        for inner, one in value.items():
            yield from flat(f"{name}.{inner}", one)
    elif isinstance(value, int | float):
        yield name, value


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}".rstrip("0").rstrip(".")


def _machines(found: Latest) -> Iterator[tuple[str, str]]:
    """Yield each machine with the parts that were measured on it."""
    parts: dict[str, list[str]] = {}
    for name, part in found.parts.items():
        one = part.machine
        described = (
            f"{one.cores} cores ({one.processor}), {one.memory_gib} GiB, {one.kernel}, "
            f"Python {one.python}, PostgreSQL {one.postgres}"
        )
        parts.setdefault(described, []).append(name)
    for described, names in parts.items():
        yield ", ".join(names), described
