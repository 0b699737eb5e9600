"""The plots of docs/benchmarks: `python -m bench.plot` draws those whose part has been measured, as SVG."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench import latest
from bench.latest import Latest
from bench.results import PLOTS

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "tekana"  # The same figures give the same file.
from matplotlib import pyplot as plt  # noqa: E402 - after its settings
from matplotlib.axes import Axes  # noqa: E402 - likewise

FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"
OURS, THEIRS, THIRD = "#2f6f4f", "#9aa5b1", "#c9803a"


def clients(found: Latest) -> None:
    """Draw throughput and latency of each number of connections, with pgbench's best as a line."""
    _, (speed, latency) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    points = found.parts["clients"].middle["points"]
    connections = [point["connections"] for point in points]
    speed.plot(
        connections, [point["settled_per_second"] for point in points], "o-", color=OURS, label="Tekana, settled"
    )
    if "headline" in found.parts:
        pgbench = found.parts["headline"].middle["pgbench_tps"]
        speed.axhline(pgbench, color=THEIRS, linestyle="--", label="pgbench, TPC-B-like, best client count")
    latency.plot(connections, [point["accept_p50_ms"] for point in points], "o-", color=OURS, label="202, median")
    latency.plot(
        connections, [point["accept_p99_ms"] for point in points], "o-", color=THIRD, label="202, 99th percentile"
    )
    _finish(speed, "per second", connections)
    _finish(latency, "milliseconds", connections)
    _save("clients")


def half(found: Latest) -> None:
    """Draw percentiles of acceptance and settlement, idle and at half load."""
    _, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    loads = [name for name in ("idle", "half") if name in found.parts]
    groups = [(load, spread) for load in loads for spread in ("accept_ms", "settle_ms")]
    values = [found.parts[load].middle[spread] for load, spread in groups]
    _bars(axes, [[value["p50"] for value in values], [value["p99"] for value in values]], ("median", "99th percentile"))
    axes.set_xticks(range(len(groups)), [f"{load}:\n{spread.removesuffix('_ms')}" for load, spread in groups])
    axes.set_ylabel("milliseconds")
    axes.legend()
    _save("half")


def growth(found: Latest) -> None:
    """Draw the 99th percentile of each page, small and grown."""
    _, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
    sizes: Mapping[str, Any] = found.parts["growth"].middle["sizes"]
    names = list(next(iter(sizes.values()))["pages"])
    series = [[size["pages"][name]["p99"] for name in names] for size in sizes.values()]
    _bars(axes, series, tuple(f"{int(entries):,} entries" for entries in sizes))
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize="small")
    axes.set_ylabel("99th percentile, milliseconds")
    axes.legend()
    _save("growth")


def _bars(axes: Axes, series: list[list[float]], labels: tuple[str, ...]) -> None:
    width = 0.8 / len(series)
    for number, (values, label, color) in enumerate(zip(series, labels, (OURS, THIRD, THEIRS), strict=False)):
        places = [place + (number - (len(series) - 1) / 2) * width for place in range(len(values))]
        bars = axes.bar(places, values, width, label=label, color=color)
        axes.bar_label(bars, [f"{value:.0f}" for value in values], fontsize="small")


def _finish(axes: Axes, unit: str, connections: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(connections, [str(count) for count in connections])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("connections")
    axes.set_ylabel(unit)
    axes.legend(fontsize="small", loc="best" if unit == "milliseconds" else "lower right")


def _save(name: str) -> None:
    plt.suptitle(PLOTS[name])
    plt.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    plt.close()


DRAWN = {"clients": clients, "half": half, "growth": growth}


def draw(found: Latest) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, one in DRAWN.items():
        if name in found.parts:
            one(found)


if __name__ == "__main__":
    draw(latest.load(latest.PATH))
