"""A round of load: from the first POST to the end of the last job, counted in settled transfers."""

import time
from uuid import UUID

import msgspec

from bench import wrk
from bench.bank import Targets
from bench.database import Database
from bench.messages import sent
from bench.scene import Scene

SETTLED = """
    SELECT count(*), extract(epoch FROM max(finished_at))
      FROM jobs WHERE id >= %(first)s AND kind = 'transfer.create' AND state = 'succeeded'
"""
UNSETTLED = """
    SELECT count(*) FROM jobs WHERE id >= %(first)s AND kind = 'transfer.create' AND state <> 'succeeded'
"""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """`seconds` run from before the first request to the end of the last job, by the clock of the database."""

    clients: int
    accepted: wrk.Accepted
    settled: int
    seconds: float
    settled_per_second: float
    jobs_per_message: float


def run(scene: Scene, targets: Targets, *, clients: int, seconds: int) -> Round:
    """Load the API with `clients` connections for `seconds`, then wait until all jobs have ended."""
    scene.database.calm_down()
    messages, began = sent(scene), scene.database.now()
    accepted = wrk.whole(wrk.post(scene.stack.api_url, targets, clients=clients, seconds=seconds))
    scene.database.wait_settled(left=True)
    settled, ended = settled_since(scene.database, began)
    return Round(
        clients=clients,
        accepted=accepted,
        settled=settled,
        seconds=round(ended - began, 3),
        settled_per_second=round(settled / (ended - began), 1),
        jobs_per_message=round(settled / max(sent(scene) - messages, 1), 1),
    )


def settled_since(database: Database, began: float) -> tuple[int, float]:
    """Return how many transfers of this round were settled, and when the last one was.

    Raises:
        RuntimeError: one was not: a load that is refused is no measure.

    """
    first = first_id(began)
    if other := database.value(UNSETTLED, first=first):
        raise RuntimeError(f"{other} transfers did not succeed")
    settled, ended = database.row(SETTLED, first=first)
    return int(settled), float(ended or time.time())


def first_id(began: float) -> UUID:
    """Return what ids of jobs since then begin with: their milliseconds (RFC 9562, section 5.7)."""
    return UUID(int=int(began * 1_000) << 80)
