"""More workers: a backlog of deposits into wallets that have little in common, drained by one and by two."""

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec

from bench.bank import CURRENCY, Bank
from bench.load import first_id
from bench.queued import stage, submission
from bench.scene import Scene
from bench.settle import WORKER
from domain.jobs import Kind, Submission
from domain.transactions import Movement
from local import processes
from local.stack import Stack

NODE = "transactions@%h"  # How Celery knows the worker; a second one needs a name of its own.
READY = b" ready."  # What Celery says when it waits for messages.
LOOK_SECONDS = 0.05
RATE = """
    SELECT count(*), extract(epoch FROM max(finished_at) - min(posted_at))
      FROM jobs JOIN transactions USING (id) WHERE id >= %(first)s AND jobs.kind = 'deposit.create'
"""


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """Deposits settled a second."""

    one_worker_per_second: float
    two_workers_per_second: float
    ratio_of_two_to_one: float


def measure(scene: Scene) -> Workers:
    one = _rate(scene, [])
    with _second_worker(scene.stack) as pid:
        two = _rate(scene, [pid])
    return Workers(one_worker_per_second=one, two_workers_per_second=two, ratio_of_two_to_one=round(two / one, 2))


def _rate(scene: Scene, others: list[int]) -> float:
    """Queue a backlog while nobody settles; return how much is settled a second, from the first batch on."""
    first = first_id(scene.database.now())
    with contextlib.ExitStack() as asleep:
        for pid in [scene.stack.pid(WORKER), *others]:
            asleep.enter_context(_frozen(pid))
        stage(scene.stack.env, [_deposit(scene.bank) for _ in range(scene.options.backlog)])
    scene.database.wait_settled()
    settled, seconds = scene.database.row(RATE, first=first)
    return round(int(settled) / float(seconds), 1)


@contextlib.contextmanager
def _frozen(pid: int) -> Iterator[None]:
    """Keep a worker from taking messages; its child has nothing to do then."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _deposit(bank: Bank) -> Submission:
    wallet = random.choice(bank.wallets)  # noqa: S311 - a load, not a secret
    movement = Movement(amount=1, currency=CURRENCY, destination_wallet_id=UUID(wallet))
    return submission(Kind.DEPOSIT_CREATE, f"wallet:{wallet}", movement)


@contextlib.contextmanager
def _second_worker(stack: Stack) -> Iterator[int]:
    """Run another worker of the same queue; yield its pid when it waits for messages."""
    first = next(child for child in processes.children(stack.env, stack.data_dir) if child.name == WORKER)
    argv = [part.replace(NODE, f"second-{NODE}") for part in first.argv]
    with tempfile.NamedTemporaryFile() as output:
        worker = subprocess.Popen(argv, env=first.env, cwd=first.cwd, stdout=output, stderr=subprocess.STDOUT)
        try:
            while READY not in Path(output.name).read_bytes():
                time.sleep(LOOK_SECONDS)
            yield worker.pid
        finally:
            worker.terminate()
            worker.wait()
