"""Several workers of one queue, processes of their own, that meet the same batch."""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor

import pytest

from domain.jobs import ALONE_FROM_ATTEMPT, JobState, Kind, Queue
from tests import committed
from tests.made import submission
from workers import batches

WORKERS = 8
INNOCENT = 300
WORK_SECONDS = 1.0
PATIENCE_SECONDS = 60.0


@pytest.fixture
def workers(url: str) -> Iterator[Executor]:
    assert url  # Which they find in the environment.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=spawn, initializer=spawn.Barrier(WORKERS).wait) as workers:
        yield workers


def test_a_job_that_several_workers_fail_at_takes_no_other_one_with_it(url: str, workers: Executor) -> None:
    [wallet_id] = committed.opened(url, 0)
    *innocent, _ = committed.queued(
        url,
        *(committed.deposit_of(wallet_id, 1) for _ in range(INNOCENT)),
        submission(Kind.DEPOSIT_CREATE, {"amount": "not a movement"}),
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while JobState.QUEUED in committed.states(url, innocent) and time.monotonic() < deadline:
        list(workers.map(work, [WORK_SECONDS] * WORKERS))
    assert set(committed.states(url, innocent)) == {JobState.SUCCEEDED}
    assert committed.balances(url, [wallet_id]) == [INNOCENT]
    [(most,)] = committed.execute(url, "SELECT max(attempts) FROM jobs WHERE state = 'succeeded'")
    assert most <= ALONE_FROM_ATTEMPT


def work(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        batches.drain(Queue.TRANSACTIONS)
