"""What settling alone reaches: a backlog of transfers between many wallets, drained by one worker and by two."""

import contextlib
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench import load
from bench.load import QUEUED, Bank, query
from local import processes
from local.stack import Stack

WORKER = "worker-transactions"
NODE = "transactions@%h"  # How Celery knows it; a second one needs a name of its own.
CLIENTS = 64
BACKLOG_SECONDS = 6  # Of requests at full speed, while nobody settles: tens of thousands of jobs.
TURNS = 3  # Of each number of workers, one after the other.
READY = b" ready."  # What Celery says when it waits for messages.
LOOK_SECONDS = 0.05
# From the first end to the last: how long a worker takes to start is no part of it.
RATE = """
    SELECT round((count(*) - 1) / extract(epoch FROM max(finished_at) - min(finished_at)), 1)
      FROM jobs WHERE kind = 'transfer.create' AND created_at > now() - make_interval(secs => {seconds})
"""


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """Transfers settled per second, the median of the turns; `accepted_per_second` while nobody settles."""

    accepted_per_second: float
    one_worker_per_second: float
    two_workers_per_second: float
    ratio_of_two_to_one: float


def run(stack: Stack, bank: Bank, wallets: list[str]) -> Drain:
    accepted: list[float] = []
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(TURNS):
        for workers, found in rates.items():
            taken, settled = _turn(stack, bank, wallets, workers)
            accepted.append(taken)
            found.append(settled)
    one, two = (statistics.median(found) for found in rates.values())
    return Drain(
        accepted_per_second=statistics.median(accepted),
        one_worker_per_second=one,
        two_workers_per_second=two,
        ratio_of_two_to_one=round(two / one, 2),
    )


def _turn(stack: Stack, bank: Bank, wallets: list[str], workers: int) -> tuple[float, float]:
    """Return how many transfers were accepted a second, and then settled a second."""
    with contextlib.ExitStack() as resources:
        pids = [stack.pid(WORKER)]
        if workers > 1:
            pids.append(resources.enter_context(_second_worker(stack)))
        started = time.monotonic()
        with _frozen(pids):
            accepted = load.accept(stack, bank, wallets, clients=CLIENTS, seconds=BACKLOG_SECONDS)
        while int(query(stack, QUEUED)):
            time.sleep(LOOK_SECONDS)
    rate = query(stack, RATE.format(seconds=time.monotonic() - started))
    return round(accepted.requests / accepted.seconds, 1), float(rate)


@contextlib.contextmanager
def _frozen(pids: list[int]) -> Iterator[None]:
    """Keep workers from taking messages; their children have nothing to do then."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


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
