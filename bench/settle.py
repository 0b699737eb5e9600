"""Settling alone: a backlog of transfers that waits for a worker, drained by one worker process.

From the start of the first batch (a transaction's `posted_at`) to the end of the last job (`finished_at`): how long a
worker takes to start is no part of it.
"""

import random
from uuid import UUID

import msgspec

from bench.bank import CURRENCY, Targets
from bench.bare import Bare
from bench.load import first_id, settled_since
from bench.queued import stage, submission
from bench.scene import Scene
from domain.jobs import Kind, Submission
from domain.transactions import Movement

WORKER = "worker-transactions"
BEGAN = "SELECT extract(epoch FROM min(posted_at)) FROM transactions WHERE id >= %(first)s"


class Settle(msgspec.Struct, frozen=True, kw_only=True):
    bare: Bare
    jobs: int
    seconds: float
    settle_only_per_second: float
    settle_only_ratio: float


def measure(scene: Scene) -> Settle:
    bare = scene.yardstick()
    settled, seconds = drained(scene)
    return Settle(
        bare=bare,
        jobs=settled,
        seconds=round(seconds, 3),
        settle_only_per_second=round(settled / seconds, 1),
        settle_only_ratio=round(settled / seconds / bare.best, 3),
    )


def drained(scene: Scene) -> tuple[int, float]:
    """Queue a backlog while the worker is down; return how many jobs it settled then, and in how many seconds."""
    staged_at, targets = scene.database.now(), scene.bank.targets
    scene.stack.hold(WORKER)
    try:
        stage(scene.stack.env, [transfer(targets) for _ in range(scene.options.backlog)])
    finally:
        scene.stack.release(WORKER)
    scene.database.wait_settled()
    settled, ended = settled_since(scene.database, staged_at)
    return settled, ended - float(scene.database.value(BEGAN, first=first_id(staged_at)))


def transfer(targets: Targets) -> Submission:
    """Return a transfer as the API would queue it, from one of the callers to anybody else."""
    source = random.choice(targets.sources).wallet_id  # noqa: S311 - a load, not a secret
    destination = random.choice(targets.destinations)  # noqa: S311 - likewise
    while destination == source:
        destination = random.choice(targets.destinations)  # noqa: S311 - likewise
    movement = Movement(
        amount=1, currency=CURRENCY, source_wallet_id=UUID(source), destination_wallet_id=UUID(destination)
    )
    return submission(Kind.TRANSFER_CREATE, f"wallet:{source}", movement)
