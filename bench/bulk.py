"""Bulk transfers: a thousand with one request, counted one by one as they are settled."""

import msgspec

from bench import wrk
from bench.bare import Bare
from bench.load import first_id
from bench.scene import Scene

SCRIPT = wrk.FOLDER / "bulk.lua"
CLIENTS = (
    4  # Each has a thousand transfers on their way: as many as there are jobs at the headline's busiest, and more.
)
OTHERS = """
    SELECT count(*) FROM jobs
     WHERE id >= %(first)s AND kind = 'bulk_transfer.create'
       AND (state <> 'succeeded' OR CAST(result ->> 'rejected' AS int) > 0)
"""
SETTLED = """
    SELECT count(*), sum(CAST(result ->> 'succeeded' AS int)), extract(epoch FROM max(finished_at))
      FROM jobs WHERE id >= %(first)s AND kind = 'bulk_transfer.create'
"""


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    bare: Bare
    accepted: wrk.Accepted
    jobs: int
    settled: int
    seconds: float
    bulk_transfers_per_second: float
    bulk_ratio_to_pgbench: float


def measure(scene: Scene) -> Bulk:
    """Post with an operator's key, which may spend from all of the callers' wallets."""
    bare, database, url = scene.yardstick(), scene.database, scene.stack.api_url
    began, seconds = database.now(), scene.options.seconds
    accepted = wrk.whole(wrk.post(url, scene.bank.targets_of_one, clients=CLIENTS, seconds=seconds, script=SCRIPT))
    database.wait_settled(left=True)
    if others := database.value(OTHERS, first=first_id(began)):
        raise RuntimeError(f"{others} bulks were not settled whole")
    jobs, settled, ended = database.row(SETTLED, first=first_id(began))
    per_second = int(settled) / (float(ended) - began)
    return Bulk(
        bare=bare,
        accepted=accepted,
        jobs=jobs,
        settled=settled,
        seconds=round(float(ended) - began, 3),
        bulk_transfers_per_second=round(per_second, 1),
        bulk_ratio_to_pgbench=round(per_second / bare.best, 3),
    )
