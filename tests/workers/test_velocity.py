"""Limits of velocity where many workers settle at once: never exceeded, for a wallet and for a customer."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

import db.engine
import db.wallets
import domain.velocity
import settings as environment
from db.engine import transaction
from domain.jobs import Kind, Queue, Submission
from domain.transactions import Movement
from settings import Settings
from tests import committed, made
from tests.conftest import close_connections
from tests.made import submission
from workers import batches

WORKERS = 4
MOVES = 60
TRIALS = 5
COUNT, AMOUNT = "velocity_count_exceeded", "velocity_amount_exceeded"


@pytest.fixture
def limits(url: str, fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Set limits by name; batches are small, so that they meet, and there are connections for all workers.

    No hour ends, after which all would be counted anew.
    """
    assert url
    pooled = db.engine.pooled(2 * WORKERS)
    monkeypatch.setattr(db.engine, "pooled", lambda _: pooled)
    close_connections(fresh)
    monkeypatch.setenv("BATCH_MAX", "3")
    monkeypatch.setattr(domain.velocity, "HOUR_SECONDS", 10**12)
    yield monkeypatch
    environment.settings.cache_clear()


def limit(limits: pytest.MonkeyPatch, **values: object) -> None:
    for name, value in values.items():
        limits.setenv(name.upper(), str(value))
    environment.settings.cache_clear()


def moving(source: UUID, destination: UUID, amount: int = 1) -> Submission:
    movement = Movement(amount=amount, currency="RWF", source_wallet_id=source, destination_wallet_id=destination)
    return submission(Kind.TRANSFER_CREATE, movement)


def rush(url: str, wanted: list[Submission]) -> Counter[str]:
    """Settle by several workers at once; return how the jobs ended."""
    ids = committed.queued(url, *wanted)
    start = threading.Barrier(WORKERS)

    def work() -> None:
        start.wait()
        batches.drain(Queue.TRANSACTIONS)

    with ThreadPoolExecutor(WORKERS) as threads:
        for one in [threads.submit(work) for _ in range(WORKERS)]:
            one.result()
    while committed.execute(url, "UPDATE jobs SET due_at = now() WHERE state = 'queued' RETURNING id"):
        batches.drain(Queue.TRANSACTIONS)  # Who waited for a wallet for long is put off.
    return Counter(job.error.code if job.error else job.state for job in committed.jobs(url, ids))


@pytest.mark.parametrize("trial", range(TRIALS))
def test_a_wallets_limits_are_never_exceeded(url: str, limits: pytest.MonkeyPatch, trial: int) -> None:
    limit(limits, wallet_moves_per_hour_max=10 + trial)
    source, *others = committed.opened(url, 1_000, 0, 0, 0)

    ended = rush(url, [moving(source, others[number % 3]) for number in range(MOVES)])

    assert ended == {"succeeded": 10 + trial, COUNT: MOVES - 10 - trial}


@pytest.mark.parametrize("trial", range(TRIALS))
def test_an_amount_is_never_exceeded(url: str, limits: pytest.MonkeyPatch, trial: int) -> None:
    limit(limits, wallet_amount_per_day_max=f"1,RWF:{7 * (10 + trial) + 6}")
    source, other = committed.opened(url, 1_000, 0)

    ended = rush(url, [moving(source, other, 7) for _ in range(MOVES)])

    assert ended == {"succeeded": 10 + trial, AMOUNT: MOVES - 10 - trial}


@pytest.mark.parametrize("trial", range(TRIALS))
def test_wallets_of_one_customer_are_limited_together(url: str, limits: pytest.MonkeyPatch, trial: int) -> None:
    limit(limits, customer_moves_per_day_max=10 + trial, customer_amount_per_hour_max=10**6)
    [target] = committed.opened(url, 0)
    sources = opened_for_one(url, 3)

    ended = rush(url, [moving(sources[number % 3], target) for number in range(MOVES)])

    assert ended == {"succeeded": 10 + trial, COUNT: MOVES - 10 - trial}


def opened_for_one(url: str, count: int) -> list[UUID]:
    """Open wallets of one customer, fill them and return them."""
    with transaction(url) as tx:
        customer = made.customer(tx)
        ids = [made.wallet(tx, customer) for _ in range(count)]
    fill(url, ids)
    return ids


def fill(url: str, wallet_ids: list[UUID]) -> None:
    """Settle a deposit into each, before several workers share out what follows in whichever order."""
    committed.queued(url, *(committed.deposit_of(one, 1_000) for one in wallet_ids))
    batches.drain(Queue.TRANSACTIONS)


def test_what_one_wallet_has_spent_counts_once_there_is_another(url: str, limits: pytest.MonkeyPatch) -> None:
    limit(limits, customer_moves_per_day_max=3)
    [target] = committed.opened(url, 0)
    [first] = opened_for_one(url, 1)
    assert rush(url, [moving(first, target) for _ in range(2)]) == {"succeeded": 2}
    with transaction(url) as tx:
        [owner] = db.wallets.owners(tx, [first]).values()
        second = made.wallet(tx, owner)
    fill(url, [second])

    assert rush(url, [moving(second, target) for _ in range(2)]) == {"succeeded": 1, COUNT: 1}
    assert rush(url, [moving(first, target)]) == {COUNT: 1}


@pytest.mark.parametrize("trial", range(TRIALS))
def test_wallets_that_are_opened_at_the_same_moment_are_known_to_be_one_customers(
    url: str, limits: pytest.MonkeyPatch, trial: int
) -> None:
    del limits, trial
    with transaction(url) as tx:
        customer = made.customer(tx)
    start = threading.Barrier(WORKERS)

    def open_one() -> None:
        with transaction(url) as tx:
            start.wait()
            made.wallet(tx, customer)

    with ThreadPoolExecutor(WORKERS) as threads:
        for one in [threads.submit(open_one) for _ in range(WORKERS)]:
            one.result()

    assert committed.execute(url, "SELECT customer_id, currency FROM customer_velocity") == [(customer, "RWF")]


def test_a_row_is_of_several_wallets_of_one_currency(url: str) -> None:
    with transaction(url) as tx:
        customer = made.customer(tx)
        for currency in ("RWF", "USD", "USD", "EUR"):
            made.wallet(tx, customer, currency=currency)
    assert committed.execute(url, "SELECT currency, spent FROM customer_velocity") == [("USD", None)]


def test_without_limits_nothing_is_counted(url: str, limits: pytest.MonkeyPatch) -> None:
    limit(limits)
    [target] = committed.opened(url, 0)
    sources = opened_for_one(url, 2)
    assert rush(url, [moving(one, target) for one in sources]) == {"succeeded": 2}
    for table in ("wallets", "customer_velocity"):
        assert committed.execute(url, f"SELECT count(spent) FROM {table}") == [(0,)]  # noqa: S608 - our own word
