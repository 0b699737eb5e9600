"""Latency at half of the maximum: requests that come at even distances, half as many as can be settled."""

import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from bench import load
from bench.bank import Targets
from bench.database import Database
from bench.figures import Spread
from bench.load import first_id
from bench.paced import Paced
from bench.scene import Scene

SHARE = 0.5
SPREAD = """
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY took),
           percentile_disc(0.99) WITHIN GROUP (ORDER BY took), max(took)
      FROM (SELECT 1000 * extract(epoch FROM finished_at - created_at) AS took
              FROM jobs WHERE id >= %(first)s AND kind = 'transfer.create') AS settled
"""


class Half(msgspec.Struct, frozen=True, kw_only=True):
    """`accept_ms` as the client sees it, from when a request was due; `settle_ms` from accepted to settled."""

    peak_per_second: float
    rate_per_second: float
    settled: int
    accept_ms: Spread
    settle_ms: Spread


def measure(scene: Scene) -> Half:
    scene.peak_per_second = scene.peak_per_second or _peak(scene)
    rate = scene.peak_per_second * SHARE
    began = scene.database.now()
    found = paced(scene.stack.api_url, scene.bank.targets, rate, scene.options.seconds)
    scene.database.wait_settled()
    settled, _ = load.settled_since(scene.database, began)
    return Half(
        peak_per_second=scene.peak_per_second,
        rate_per_second=round(rate, 1),
        settled=settled,
        accept_ms=found.accept_ms,
        settle_ms=settle_spread(scene.database, began),
    )


def paced(url: str, targets: Targets, rate: float, seconds: float) -> Paced:
    """Load from a process of its own, whose pauses are not ours.

    Raises:
        RuntimeError: a request was refused or not answered, or a connection broke.

    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "targets.txt"
        targets.write(path)
        argv = [sys.executable, "-m", "bench.paced", url, str(path), str(rate), str(seconds)]
        output = subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout
    found = msgspec.json.decode(output, type=Paced)
    if found.refused or found.unanswered or found.broken:
        raise RuntimeError(
            f"of {found.sent} requests {found.refused} were refused and {found.unanswered} not answered;"
            f" {found.broken} connections broke"
        )
    return found


def settle_spread(database: Database, began: float) -> Spread:
    """Return how long transfers took from `created_at` (before the accepting commit) to `finished_at`.

    Both are the database's clock. What is not in it, the settling commit itself, is in the idle transfer's latency.
    """
    p50, p99, worst = (round(float(value), 2) for value in database.row(SPREAD, first=first_id(began)))
    return Spread(p50=p50, p99=p99, worst=worst)


def _peak(scene: Scene) -> float:
    """Find the maximum, where the headline was not measured before."""
    options = scene.options
    return load.run(scene, scene.bank.targets, clients=options.clients, seconds=options.seconds).settled_per_second
