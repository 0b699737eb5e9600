"""The chain's price: batches that are settled with the chain of hashes, and without it, in short turns.

`python -m bench.chain TARGETS RESULT` is the process that settles: by the workers' own functions, one batch after the
other, and then it seals, so that what another process does beside it in life counts in full. Without the chain, a
transaction does not note what wrote it, that note has no index, and nobody seals. What was so settled is in no block,
which the audit would tell: the servers are thrown away.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import msgspec

import logs
import process
from bench.bank import Targets
from bench.database import Database
from bench.options import Options
from bench.queued import stage
from bench.scene import Scene, opened
from bench.settle import WORKER, transfer
from domain.jobs import JobState, Queue
from settings import settings
from workers.batches import settle_next
from workers.maintenance import seal

SEALER = "worker-maintenance"
ORDER = (True, False, False, True)  # What one leaves to the next, both leave to both.
TURNS = 120  # One differs from the next by more than the chain costs.
JOBS = 5_000  # Of a turn: a second. In life a block comes every ten, so what it costs by itself counts too often.
SECONDS_MAX = 1_800
DEFAULT = """
    SELECT column_default FROM information_schema.columns WHERE table_name = 'transactions' AND column_name = 'xact_id'
"""
INDEX = "SELECT indexdef FROM pg_indexes WHERE indexname = 'transactions_by_xact'"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    is_chained: bool
    per_second: float


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """Transfers settled a second, the median of all turns, and by how much the chain slows that: of pairs of turns."""

    chained_per_second: float
    unchained_per_second: float
    chain_cost_percent: float
    quartiles_percent: list[float]


def measure(options: Options, say: Callable[[str], None]) -> Chain:
    with opened(options, say) as scene:
        say(f"  {TURNS} turns")
        turns = _turns(scene)
    rates = {kind: [one.per_second for one in turns if one.is_chained is kind] for kind in (True, False)}
    costs = [100 * (1 - slow / fast) for slow, fast in zip(rates[True], rates[False], strict=True)]
    first, middle, third = statistics.quantiles(costs, n=4)
    return Chain(
        chained_per_second=round(statistics.median(rates[True]), 1),
        unchained_per_second=round(statistics.median(rates[False]), 1),
        chain_cost_percent=round(middle, 1),
        quartiles_percent=[round(first, 1), round(third, 1)],
    )


def _turns(scene: Scene) -> list[Turn]:
    for name in (WORKER, SEALER):
        scene.stack.hold(name)
    with tempfile.TemporaryDirectory(prefix="tekana-chain-") as folder:
        targets, result = Path(folder) / "targets", Path(folder) / "result"
        scene.bank.targets.write(targets)
        argv = [sys.executable, "-m", "bench.chain", str(targets), str(result)]
        env = scene.stack.env | {"LOG_LEVEL": "warning"}  # Not a line for each batch.
        subprocess.run(argv, env=env, timeout=SECONDS_MAX, check=True)
        return msgspec.json.decode(result.read_bytes(), type=list[Turn])


def main(targets: str, result: str) -> None:
    logs.configure(settings())
    process.collect_rarely()
    with closing(Database(settings().database_url)) as database:
        turns = take_turns(database, Targets.read(Path(targets)))
    Path(result).write_bytes(msgspec.json.encode(turns))


def take_turns(database: Database, targets: Targets) -> list[Turn]:
    default, index = database.value(DEFAULT), database.value(INDEX)
    turns: list[Turn] = []
    seal()  # What was posted before the first turn.
    was_chained = True
    for is_chained in islice(cycle(ORDER), TURNS):
        if is_chained and not was_chained:
            database.run(f"ALTER TABLE transactions ALTER xact_id SET DEFAULT {default}")
            database.run(index)
        elif was_chained and not is_chained:
            database.run("ALTER TABLE transactions ALTER xact_id DROP DEFAULT")
            database.run("DROP INDEX transactions_by_xact")
        was_chained = is_chained
        stage(os.environ, [transfer(targets) for _ in range(JOBS)])
        turns.append(Turn(is_chained=is_chained, per_second=round(JOBS / _seconds(is_chained=is_chained), 1)))
        if len(turns) % len(ORDER) == 0:
            print(f"  turn {len(turns)} of {TURNS}", file=sys.stderr)  # noqa: T201 - progress
    return turns


def _seconds(*, is_chained: bool) -> float:
    """Settle all that is queued, and seal it; return how long it took.

    Raises:
        RuntimeError: something else was settled as well, or less.

    """
    began, settled = time.perf_counter(), 0
    while outcomes := settle_next(Queue.TRANSACTIONS):
        settled += sum(one.state is JobState.SUCCEEDED for one in outcomes)
    if settled != JOBS:
        raise RuntimeError(f"of {JOBS} transfers {settled} were settled")
    sealed = 0 if is_chained else JOBS
    while sealed < JOBS:  # Not at once, where a transaction of somebody else was under way.
        sealed += seal()["transactions"]
    return time.perf_counter() - began


if __name__ == "__main__":
    main(*sys.argv[1:])
