"""The plot of a run: settled transfers per second beside pgbench's transactions, round by round."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from bench.report import Report

BAR = 0.38


def draw(found: Report, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    turns = range(len(found.rounds))
    axes.bar(
        [turn - BAR / 2 for turn in turns],
        [one.best for one in found.bare],
        BAR,
        label="pgbench, TPC-B-like, best client count",
        color="#9aa5b1",
    )
    bars = axes.bar(
        [turn + BAR / 2 for turn in turns],
        [one.settled_per_second for one in found.rounds],
        BAR,
        label="Tekana, HTTP to settled",
        color="#2f6f4f",
    )
    axes.bar_label(bars, [f"{one.settled_per_second:.0f}" for one in found.rounds])
    axes.set_xticks(list(turns), [f"round {turn + 1}" for turn in turns])
    axes.set_ylabel("per second")
    axes.set_title(f"One machine, {found.machine.cores} cores: {found.ratio:.2f} of pgbench")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=100)
