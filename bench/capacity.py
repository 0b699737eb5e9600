"""The table of docs/operations.md that says what one core does: what bench/latest.json holds, divided."""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.latest import Latest, Result, figures

WANTED_PER_SECOND = 1_000  # What the last line is worked out for.


def lines(found: Latest) -> Iterator[str]:
    headline = found.parts["headline"]
    yield f"Measured {headline.at[:10]} on {headline.machine.cores} cores, Python {headline.machine.python}."
    yield ""
    yield from ("| what | figure |", "|---|--:|")
    for what, figure in _rows(headline, figures(found.parts)):
        yield f"| {what} | {figure} |"


def _rows(headline: Result, figure: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    settled, accepted = figure["transfers_per_second"], headline.middle["round"]["accepted"]
    a_core = settled / headline.machine.cores
    yield "transfers from HTTP to settled, a second, all cores together", f"{settled:,.0f}"
    yield "the same, of one core", f"{a_core:,.0f}"
    yield "the same, in bare transactions of pgbench on the same server", f"{figure['ratio_to_pgbench']:.2f}"
    yield "accepting a transfer (202) at that load, median", f"{accepted['p50_ms']:.0f} ms"
    yield "accepting a transfer (202) at that load, 99th percentile", f"{accepted['p99_ms']:.0f} ms"
    if "settle_ms" in figure:
        yield "accepting a transfer at half that load, 99th percentile", f"{figure['accept_ms']['p99']:.0f} ms"
        yield "settling it at half that load, 99th percentile", f"{figure['settle_ms']['p99']:.0f} ms"
    if "idle_ms" in figure:
        yield "one transfer at a time, from POST to `succeeded`, median", f"{figure['idle_ms']['p50']:.0f} ms"
        yield "one transfer at a time, from POST to `succeeded`, 99th percentile", f"{figure['idle_ms']['p99']:.0f} ms"
    if "webhooks_per_second" in figure:
        yield "webhooks of one worker, a second", f"{figure['webhooks_per_second']:,.0f}"
    cores = WANTED_PER_SECOND / a_core
    yield f"cores for {WANTED_PER_SECOND:,} transfers a second, PostgreSQL's included", f"{cores:.1f}"
