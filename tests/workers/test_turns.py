"""A worker claims a deep queue in turn: who has queued one job does not wait for all that another one has queued."""

from uuid import UUID

import pytest

import settings
from domain.jobs import JobState, Queue
from domain.transactions import Movement
from tests import committed
from tests.made import bulk_transfer
from workers import batches
from workers.turns import Turns, turns_of

MONEY = Queue.TRANSACTIONS
BATCH = 5


@pytest.fixture
def wallet(url: str, monkeypatch: pytest.MonkeyPatch) -> UUID:
    monkeypatch.setenv("BATCH_MAX", str(BATCH))
    settings.settings.cache_clear()
    turns_of.cache_clear()
    [wallet_id] = committed.opened(url, 0)
    return wallet_id


def test_a_job_of_another_caller_is_settled_in_the_second_batch(url: str, wallet: UUID) -> None:
    many = [committed.deposit_of(wallet, 1_00, caller="many") for _ in range(4 * BATCH)]
    one = committed.deposit_of(wallet, 1_00, caller="one")
    committed.queued(url, *many, one)

    assert [len(batches.settle_next(MONEY) or []) for _ in range(2)] == [BATCH, BATCH]

    assert committed.states(url, [one.id]) == [JobState.SUCCEEDED]
    first_left = many[2 * BATCH - 1]
    assert committed.states(url, [many[2 * BATCH - 2].id, first_left.id]) == [JobState.SUCCEEDED, JobState.QUEUED]


def test_a_queue_that_was_deep_is_emptied_and_claimed_in_order_again(url: str, wallet: UUID) -> None:
    committed.queued(url, *(committed.deposit_of(wallet, 1_00, caller=str(n % 3)) for n in range(2 * BATCH + 1)))

    sizes = [len(batches.settle_next(MONEY) or []) for _ in range(4)]

    assert sizes == [BATCH, BATCH, 1, 0]
    assert committed.balances(url, [wallet]) == [(2 * BATCH + 1) * 1_00]


def test_bulks_never_make_a_batch_of_more_items_than_it_may_have(url: str, wallet: UUID) -> None:
    item = Movement(amount=1, currency="RWF", source_wallet_id=wallet, destination_wallet_id=wallet)
    deposits = [committed.deposit_of(wallet, 1_00) for _ in range(BATCH)]
    bulks = [bulk_transfer(*[item] * size) for size in (3, 2, 1, 9)]
    last = committed.deposit_of(wallet, 1_00)
    committed.queued(url, *deposits, *bulks, last)

    assert [len(batches.settle_next(MONEY) or []) for _ in range(6)] == [BATCH, 2, 1, 1, 1, 0]


def test_each_queue_is_remembered_by_itself() -> None:
    assert isinstance(turns_of(MONEY), Turns)
    assert turns_of(MONEY) is turns_of(MONEY)
    assert turns_of(MONEY) is not turns_of(Queue.WALLETS)
