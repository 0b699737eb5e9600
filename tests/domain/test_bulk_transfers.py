from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

import domain.bulk_transfers
import domain.ledger
from domain.bulk_transfers import ITEMS_MAX, BulkTransfer, ItemOutcome, Mode
from domain.errors import Rejection
from domain.jobs import Claimed, JobState, Kind, Outcome
from domain.ledger import Settlement
from domain.transactions import Movement
from tests.made import POSTED_AT, SEAL_KEY, claimed, locked

FUNDS = 10_00


def moved(source: UUID, destination: UUID, amount: int) -> Movement:
    return Movement(amount=amount, currency="RWF", source_wallet_id=source, destination_wallet_id=destination)


def asked(mode: Mode, *items: Movement) -> Claimed:
    return claimed(Kind.BULK_TRANSFER_CREATE, BulkTransfer(mode=mode, items=list(items)))


@pytest.fixture
def sides() -> tuple[UUID, UUID]:
    """The wallets of `settled`: with 10.00, and empty."""
    return uuid7(), uuid7()


def settled(sides: tuple[UUID, UUID], *batch: Claimed) -> Settlement:
    wallets = {one: locked(one, balance=amount) for one, amount in zip(sides, (FUNDS, 0), strict=True)}
    bulks = domain.bulk_transfers.bulks(batch)
    movements = domain.transactions.movements(batch) | domain.bulk_transfers.movements(bulks)
    return domain.ledger.settle(list(batch), movements, wallets, posted_at=POSTED_AT, seal_key=SEAL_KEY, bulks=bulks)


def states(outcome: Outcome) -> list[JobState]:
    assert outcome.result is not None
    items: list[ItemOutcome] = outcome.result["items"]
    assert [one.index for one in items] == list(range(len(items)))
    return [one.state for one in items]


def test_items_have_ids_beside_their_jobs_in_their_order() -> None:
    job_id, later = uuid7(), uuid7()
    ids = domain.bulk_transfers.transaction_ids(job_id, ITEMS_MAX)
    assert ids == sorted(set(ids)) == domain.bulk_transfers.transaction_ids(job_id, ITEMS_MAX)
    assert {(one.version, one.variant, one.int >> 16) for one in ids} == {(7, job_id.variant, job_id.int >> 16)}
    assert set(ids).isdisjoint(domain.bulk_transfers.transaction_ids(later, ITEMS_MAX))


def test_items_are_decided_one_after_the_other(sides: tuple[UUID, UUID]) -> None:
    there, back = moved(*sides, FUNDS), moved(sides[1], sides[0], FUNDS)
    job = asked(Mode.INDEPENDENT, back, there, there, back)
    settlement = settled(sides, job)
    [outcome] = settlement.outcomes
    assert states(outcome) == ["rejected", "succeeded", "rejected", "succeeded"]
    assert [posting.job_id for posting in settlement.postings] == [job.id] * 2
    assert {one.id: (one.balance, one.sequence) for one in settlement.wallets} == {
        sides[0]: (FUNDS, 2),
        sides[1]: (0, 2),
    }


def test_all_or_nothing_leaves_no_trace_of_what_came_before_the_refusal(sides: tuple[UUID, UUID]) -> None:
    before = asked(Mode.INDEPENDENT, moved(*sides, 1_00))
    refused = asked(Mode.ALL_OR_NOTHING, moved(*sides, 4_00), moved(*sides, 5_01))
    after = asked(Mode.ALL_OR_NOTHING, moved(*sides, 4_00), moved(*sides, 5_00))
    settlement = settled(sides, before, refused, after)
    assert [one.state for one in settlement.outcomes] == ["succeeded", "rejected", "succeeded"]
    error = settlement.outcomes[1].error
    assert error is not None
    assert (error.code, error.index) == (Rejection.INSUFFICIENT_FUNDS, 1)
    without = settled(sides, before, after)
    assert (settlement.postings, settlement.entries, settlement.wallets) == (
        without.postings,
        without.entries,
        without.wallets,
    )


def test_a_first_item_that_is_refused_changes_no_wallet(sides: tuple[UUID, UUID]) -> None:
    settlement = settled(sides, asked(Mode.ALL_OR_NOTHING, moved(*sides, FUNDS + 1)))
    assert (settlement.postings, settlement.entries, settlement.wallets) == ([], [], [])
    assert b'"index":0' in msgspec.json.encode(settlement.outcomes)
