"""The chain's price: a backlog that is settled with the chain of hashes, and without it, in turns.

Without it, a transaction does not note what wrote it, that note has no index, and nobody seals. What was so settled is
in no block, which the audit would tell: the servers are thrown away.
"""

import contextlib
import statistics
from collections.abc import Callable, Iterator

import msgspec
from msgspec.structs import replace

from bench.database import Database
from bench.options import Options
from bench.scene import Scene, opened
from bench.settle import drained

SEALER = "worker-maintenance"
ORDER = (True, False, False, True)  # What one leaves to the next, both leave to both.
TURNS = 8  # One turn differs from the next by more than the chain costs.
BACKLOG = 100_000  # Longer than the ten seconds after which blocks are sealed.
DEFAULT = """
    SELECT column_default FROM information_schema.columns WHERE table_name = 'transactions' AND column_name = 'xact_id'
"""
INDEX = "SELECT indexdef FROM pg_indexes WHERE indexname = 'transactions_by_xact'"


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """Transfers settled a second, the median of all turns, and by how much the chain slows that."""

    chained_per_second: float
    unchained_per_second: float
    chain_cost_percent: float


def measure(options: Options, say: Callable[[str], None]) -> Chain:
    rates: dict[bool, list[float]] = {True: [], False: []}
    with opened(replace(options, backlog=BACKLOG), say) as scene:
        for is_chained in ORDER * (TURNS // 2):
            with contextlib.nullcontext() if is_chained else _unchained(scene):
                rates[is_chained].append(_rate(scene))
            say(f"  {rates[is_chained][-1]:,.0f} /s {'with' if is_chained else 'without'} the chain")
    chained, unchained = rates[True], rates[False]
    costs = [100 * (1 - slow / fast) for slow, fast in zip(chained, unchained, strict=True)]
    return Chain(
        chained_per_second=round(statistics.median(chained), 1),
        unchained_per_second=round(statistics.median(unchained), 1),
        chain_cost_percent=round(statistics.median(costs), 1),
    )


def _rate(scene: Scene) -> float:
    settled, seconds = drained(scene)
    return settled / seconds


@contextlib.contextmanager
def _unchained(scene: Scene) -> Iterator[None]:
    default, index = scene.database.value(DEFAULT), scene.database.value(INDEX)
    scene.stack.hold(SEALER)
    _run(scene.database, "ALTER TABLE transactions ALTER xact_id DROP DEFAULT", "DROP INDEX transactions_by_xact")
    try:
        yield
    finally:
        _run(scene.database, f"ALTER TABLE transactions ALTER xact_id SET DEFAULT {default}", index)
        scene.stack.release(SEALER)


def _run(database: Database, *statements: str) -> None:
    for statement in statements:
        database.run(statement)
