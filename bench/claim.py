"""What the README says of speed."""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.latest import Latest, figures

PAGE = "docs/benchmarks/README.md"


def lines(found: Latest) -> Iterator[str]:
    machine, at = found.parts["headline"].machine, found.parts["headline"].at
    yield f"[Measured]({PAGE}) on {at[:10]} with {machine.cores} cores, load generator included:"
    yield ""
    for sentence in _sentences(figures(found.parts)):
        yield f"- {sentence}"


def _sentences(figure: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"**{figure['transfers_per_second']:,.0f} transfers a second** from HTTP to settled, "
        f"{figure['ratio_to_pgbench']:.2f} of pgbench's bare transactions on the same server in the same minute"
    )
    if "bulk_transfers_per_second" in figure:
        yield f"{figure['bulk_transfers_per_second']:,.0f} in bulk, {figure['bulk_ratio_to_pgbench']:.2f} of pgbench"
    if "settle_only_per_second" in figure:
        yield f"{figure['settle_only_per_second']:,.0f} settled by one worker from a backlog"
    if "hot_wallet_per_second" in figure:
        yield f"{figure['hot_wallet_per_second']:,.0f} when all credit, or all debit, one wallet"
    if "settle_ms" in figure:
        yield (
            f"at half load, 99 of 100 are accepted within {figure['accept_ms']['p99']:.0f} ms "
            f"and settled within {figure['settle_ms']['p99']:.0f} ms"
        )
    if "idle_ms" in figure:
        yield f"one at a time, a transfer takes {figure['idle_ms']['p50']:.0f} ms from POST to `succeeded`"
