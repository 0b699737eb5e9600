"""Many clients want the same money, the same wallets or the same key at the same moment."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

import pytest
from sqlalchemy import text

from tests.flows.books import Strike, reconcile, wait_drained
from tests.flows.conftest import IS_FULL, TRIALS, Recorder
from tests.flows.faults import postgres_log
from tests.flows.load import Load
from tests.flows.world import Job, World, decode, transfer

T = TypeVar("T")

pytestmark = pytest.mark.alone

CLIENTS = 64
RUNS = max(10, TRIALS * 4)
TRANSFERS_EACH = 20 if IS_FULL else 1
FUNDS = 1_000
AMOUNT = 100
KEYS = TRIALS * 20 if IS_FULL else 2
CROSSING_CLIENTS = 32
CROSSING_WALLETS = 4
CROSSINGS = TRIALS * 2_000 if IS_FULL else 2_000


@pytest.mark.parametrize("run", range(RUNS))
def test_a_wallet_pays_exactly_as_often_as_its_balance_allows(run: int, world: World) -> None:
    del run
    source, destination = *world.open_wallets(1, FUNDS), world.wallets[0]
    body = transfer(source, destination, AMOUNT)
    answers = _at_once(lambda: [world.post("/v1/transfers", body) for _ in range(TRANSFERS_EACH)])
    world.balances[source] = 0
    world.balances[destination] += FUNDS
    ends = _ends(world, [decode(answer) for some in answers for answer in some])
    paid = FUNDS // AMOUNT
    assert ends == {
        ("succeeded", None): paid,
        ("rejected", "insufficient_funds"): CLIENTS * TRANSFERS_EACH - paid,
    }


@pytest.mark.parametrize("number", range(KEYS))
def test_a_key_that_all_clients_use_at_once_is_one_job(number: int, world: World) -> None:
    del number
    key, body = uuid4().hex, transfer(world.wallets[0], world.wallets[1], AMOUNT)
    answers = _at_once(lambda: world.post("/v1/transfers", body, key))
    world.balances[world.wallets[0]] -= AMOUNT
    world.balances[world.wallets[1]] += AMOUNT
    ids = {decode(answer).id for answer in answers}
    assert len(ids) == 1
    assert sum("Idempotency-Hit" not in answer.headers for answer in answers) == 1
    assert _ends(world, [Job(id=job_id, state="queued") for job_id in ids]) == {("succeeded", None): 1}


def test_crossing_transfers_never_deadlock(world: World, recorder: Recorder) -> None:
    started = datetime.now(UTC)
    with Load(world, CROSSINGS, CROSSING_CLIENTS, wallets=world.wallets[:CROSSING_WALLETS]) as load:
        receipts = load.finish()
    figures, broken = reconcile(world, receipts, Strike(at=started, back_at=started), "none: 4 wallets, 32 clients")
    recorder(figures)
    assert broken == []
    log = postgres_log(world.stack).read_text(encoding="utf-8", errors="replace")
    assert "ready to accept connections" in log
    assert "deadlock detected" not in log


def _at_once(call: Callable[[], T]) -> list[T]:
    """Let every client make the call at the same moment."""
    barrier = threading.Barrier(CLIENTS)

    def wait_and_call() -> T:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [future.result() for future in [pool.submit(wait_and_call) for _ in range(CLIENTS)]]


def _ends(world: World, jobs: list[Job]) -> Counter[tuple[str, str | None]]:
    """Wait for the jobs' ends; count them by state and code."""
    assert wait_drained(world, datetime.now(UTC)) == 0
    query = text("SELECT state, error ->> 'code' AS code FROM jobs WHERE id = ANY(CAST(:ids AS uuid[]))")
    with world.tx() as tx:
        rows = tx.execute(query, {"ids": [job.id for job in jobs]})
        return Counter((row.state, row.code) for row in rows)
