"""Many clients want the same money, the same wallets or the same key at the same moment."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

import pytest
from msgspec import structs
from sqlalchemy import text

from tests.flows.bank import Bank
from tests.flows.books import Strike, reconcile, wait_drained
from tests.flows.conftest import Recorder
from tests.flows.faults import postgres_log
from tests.flows.load import Load
from tests.flows.trials import IS_FULL, Case
from tests.flows.world import World, decode, transfer

T = TypeVar("T")

pytestmark = pytest.mark.alone

CLIENTS = 64
TRANSFERS_EACH = 20 if IS_FULL else 1
FUNDS = 1_000
AMOUNT = 100
CROSSING_CLIENTS = 32
CROSSING_WALLETS = 4


def test_a_wallet_pays_exactly_as_often_as_its_balance_allows(trial: Case, world: World, recorder: Recorder) -> None:
    source, destination = *world.open_wallets(1, FUNDS), trial.draw.choice(world.wallets)
    body, at = transfer(source, destination, AMOUNT), datetime.now(UTC)
    answers = _at_once(lambda: [world.post("/v1/transfers", body) for _ in range(TRANSFERS_EACH)])
    codes = _codes(world, [decode(answer).id for some in answers for answer in some])
    paid = FUNDS // AMOUNT
    assert Counter(codes.values()) == {None: paid, "insufficient_funds": CLIENTS * TRANSFERS_EACH - paid}
    rejected = {job_id: "rejected" for job_id, code in codes.items() if code}
    figures, broken = reconcile(world, [], Strike(at=at, back_at=at), trial.row, ends=rejected)
    recorder(figures)
    assert broken == []


def test_a_key_that_all_clients_use_at_once_is_one_job(trial: Case, world: World, recorder: Recorder) -> None:
    source, destination = trial.draw.sample(world.wallets, 2)
    key, body, at = uuid4().hex, transfer(source, destination, AMOUNT), datetime.now(UTC)
    answers = _at_once(lambda: world.post("/v1/transfers", body, key))
    assert len({decode(answer).id for answer in answers}) == 1
    assert sum("Idempotency-Hit" not in answer.headers for answer in answers) == 1
    figures, broken = reconcile(world, [], Strike(at=at, back_at=at), trial.row)
    recorder(figures)
    assert (figures.jobs, broken) == (1, [])


def test_crossing_transfers_never_deadlock(trial: Case, world: World, recorder: Recorder) -> None:
    started, wallets = datetime.now(UTC), trial.draw.sample(world.wallets, CROSSING_WALLETS)
    with Bank(world), Load(world, trial.number, CROSSING_CLIENTS, wallets=wallets, draw=trial.draw) as load:
        receipts = load.finish()
    figures, broken = reconcile(world, receipts, Strike(at=started, back_at=started), trial.row)
    recorder(structs.replace(figures, trials=trial.number))
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


def _codes(world: World, job_ids: list[str]) -> dict[str, str | None]:
    """Wait for the jobs' ends; return the code of each that was rejected."""
    assert wait_drained(world, datetime.now(UTC)) == 0
    query = text("SELECT CAST(id AS text), error ->> 'code' AS code FROM jobs WHERE id = ANY(CAST(:ids AS uuid[]))")
    with world.tx() as tx:
        return {row.id: row.code for row in tx.execute(query, {"ids": job_ids})}
