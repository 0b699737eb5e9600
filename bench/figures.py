"""The arithmetic of a benchmark: percentiles, slopes, and the middle of several runs. Pure."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import msgspec


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of many requests."""

    p50: float
    p99: float
    worst: float


def spread(seconds: Sequence[float]) -> Spread:
    ordered = sorted(seconds)
    p50, p99, worst = (round(1_000 * percentile(ordered, share), 2) for share in (50, 99, 100))
    return Spread(p50=p50, p99=p99, worst=worst)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of the sorted values that `share` percent do not exceed: one that was seen, not a mean.

    Raises:
        ValueError: there are no values.

    """
    if not ordered:
        raise ValueError("a percentile of nothing")
    return ordered[max(math.ceil(len(ordered) * share / 100), 1) - 1]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return how much y grows by x, by least squares.

    Raises:
        ValueError: fewer than two different x: there is no line.

    """
    try:
        xs, ys = zip(*points, strict=True)
        return statistics.linear_regression(xs, ys).slope
    except (ValueError, statistics.StatisticsError) as error:
        raise ValueError(f"a slope needs two different times; there are {len(points)} samples") from error


def middle(runs: Sequence[Any]) -> Any:
    """Return the runs as one: the median of each number, whatever else from the last run.

    Each figure has its own median, so that one of them may come from another run than the next.
    """
    last = runs[-1]
    if isinstance(last, dict):
        return {name: middle([run[name] for run in runs if name in run]) for name in last}
    if isinstance(last, list) and len({len(run) for run in runs}) == 1:
        return [middle(items) for items in zip(*runs, strict=True)]
    if _is_number(last) and all(map(_is_number, runs)):
        return round(statistics.median(runs), 3)
    return last


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
