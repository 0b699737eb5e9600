"""What may leave a wallet and a customer in an hour and a day: decided by what has left before, and by nothing else."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain.bulk_transfers import Bulk, Mode
from domain.errors import Rejection
from domain.jobs import Claimed, Kind
from domain.ledger import Settlement, settle
from domain.transactions import Movement
from domain.velocity import AMOUNT_MAX, Caps, CustomerSpent, Limits, Spent, after, parse_amounts, velocity
from tests.made import SEAL_KEY, locked

A, B, C, CUSTOMER = (UUID(int=number) for number in (1, 2, 3, 9))
COUNT, AMOUNT = Rejection.VELOCITY_COUNT_EXCEEDED, Rejection.VELOCITY_AMOUNT_EXCEEDED
DAY = 20_000
NOON = DAY * 24 + 12

AFTER = [
    (None, NOON, Spent(NOON, 1, 5, 1, 5)),
    (Spent(NOON, 2, 20, 3, 30), NOON, Spent(NOON, 3, 25, 4, 35)),
    (Spent(NOON, 2, 20, 3, 30), NOON + 1, Spent(NOON + 1, 1, 5, 4, 35)),
    (Spent(NOON, 2, 20, 3, 30), NOON + 11, Spent(NOON + 11, 1, 5, 4, 35)),
    (Spent(NOON, 2, 20, 3, 30), NOON + 12, Spent(NOON + 12, 1, 5, 1, 5)),
    (Spent(NOON, 2, 20, 3, 30), NOON + 24, Spent(NOON + 24, 1, 5, 1, 5)),
    (Spent(NOON, 2, 20, 3, 30), NOON - 1, Spent(NOON, 3, 25, 4, 35)),  # A clock that is behind.
    (Spent(DAY * 24, 2, 20, 3, 30), DAY * 24 - 1, Spent(DAY * 24, 3, 25, 4, 35)),
    (Spent(NOON + 2, 2, 20, 3, 30), NOON, Spent(NOON, 3, 25, 4, 35)),  # One that was ahead for a moment.
    (Spent(NOON + 8_760, 2, 20, 3, 30), NOON, Spent(NOON, 3, 25, 4, 35)),
    (Spent(NOON, 2, AMOUNT_MAX, 3, AMOUNT_MAX - 1), NOON, Spent(NOON, 3, AMOUNT_MAX, 4, AMOUNT_MAX)),
]


@pytest.mark.parametrize(("before", "hour", "expected"), AFTER)
def test_hours_and_days_begin_anew(before: Spent | None, hour: int, expected: Spent) -> None:
    assert after(before, hour, 5) == expected


CAPS = Caps(hour_count=2, day_count=4, hour_amounts={"": 100, "USD": 10}, day_amounts={"": 200, "EUR": 0})
REJECTED = [
    (Spent(NOON, 2, 100, 4, 200), "RWF", None),
    (Spent(NOON, 3, 101, 4, 200), "RWF", COUNT),
    (Spent(NOON, 1, 1, 5, 201), "RWF", COUNT),
    (Spent(NOON, 1, 101, 1, 101), "RWF", AMOUNT),
    (Spent(NOON, 1, 1, 2, 201), "RWF", AMOUNT),
    (Spent(NOON, 1, 11, 1, 11), "USD", AMOUNT),
    (Spent(NOON, 1, 10, 1, 10), "USD", None),
    (Spent(NOON, 1, 100, 2, 10_000), "EUR", None),
]


@pytest.mark.parametrize(("spent", "currency", "code"), REJECTED)
def test_what_is_beyond_a_limit_is_rejected_counts_first(spent: Spent, currency: str, code: Rejection | None) -> None:
    assert CAPS.reject(spent, currency) == code


def test_without_limits_nothing_is_rejected() -> None:
    assert Caps().reject(Spent(NOON, 10**9, AMOUNT_MAX, 10**9, AMOUNT_MAX), "RWF") is None
    assert [one.are_set for one in (Caps(), Caps(hour_amounts={"": 0}), CAPS)] == [False, False, True]


def named(kind: Kind, job_id: UUID) -> Claimed:
    return Claimed(id=job_id, kind=kind, payload=b"", caller="c", attempts=0)


def settled(
    limits: Limits, *movements: Movement, mode: Mode | None = None, customers: list[CustomerSpent] | None = None
) -> Settlement:
    """Settle withdrawals and transfers between rich wallets, as single jobs or as one bulk."""
    wallets = {one: locked(one, balance=1_000) for one in (A, B, C)}
    wanted = {UUID(int=100 + number): one for number, one in enumerate(movements)}
    bulk = UUID(int=99)
    now = datetime.fromtimestamp(NOON * 3_600, UTC)
    kinds = [Kind.TRANSFER_CREATE if one.destination_wallet_id else Kind.WITHDRAWAL_CREATE for one in movements]
    batch = [named(kind, job_id) for kind, job_id in zip(kinds, wanted, strict=True)]
    return settle(
        batch if mode is None else [named(Kind.BULK_TRANSFER_CREATE, bulk)],
        wanted,
        wallets,
        posted_at=now,
        seal_key=SEAL_KEY,
        bulks={} if mode is None else {bulk: Bulk(mode=mode, movements=wanted)},
        velocity=velocity(limits, now, customers or []),
    )


def move(source: UUID, amount: int = 1, destination: UUID | None = C) -> Movement:
    return Movement(amount=amount, currency="RWF", source_wallet_id=source, destination_wallet_id=destination)


def codes(settlement: Settlement) -> list[str | None]:
    return [one.error.code if one.error else None for one in settlement.outcomes]


def test_withdrawals_and_transfers_count_and_what_comes_in_or_is_rejected_does_not() -> None:
    limits = Limits(wallet=Caps(hour_count=2, hour_amounts={"": 100}), customer=Caps())
    wanted = [move(A, 5_000), move(A, 60, None), move(A, 50), move(B, 30, A), move(A, 40), move(A)]
    assert codes(settled(limits, *wanted)) == ["insufficient_funds", None, AMOUNT, None, None, COUNT]


def test_what_is_given_stays_as_it_is() -> None:
    now = datetime.fromtimestamp(NOON * 3_600, UTC)
    given = velocity(Limits(wallet=Caps(), customer=Caps(hour_count=1)), now, several())
    wanted = {UUID(int=100): move(A)}
    for _ in range(2):
        found = settle(
            [named(Kind.TRANSFER_CREATE, UUID(int=100))],
            wanted,
            {one: locked(one, balance=1_000) for one in (A, B, C)},
            posted_at=now,
            seal_key=SEAL_KEY,
            velocity=given,
        )
        assert codes(found) == [None]


def test_a_movement_that_another_rule_forbids_says_that() -> None:
    assert codes(settled(Limits(wallet=Caps(hour_count=1), customer=Caps()), move(A), move(A, 5_000))) == [
        None,
        "insufficient_funds",
    ]


def several(spent: Spent | None = None) -> list[CustomerSpent]:
    return [CustomerSpent(customer_id=CUSTOMER, currency="RWF", spent=spent, wallet_ids=[A, B])]


def test_wallets_of_one_customer_are_counted_together_and_a_single_one_by_itself() -> None:
    limits = Limits(wallet=Caps(), customer=Caps(hour_count=2))
    settlement = settled(limits, move(A), move(B), move(A), move(B), *[move(C, 1, A)] * 3, customers=several())
    assert codes(settlement) == [None, None, COUNT, COUNT, None, None, COUNT]
    assert [(one.customer_id, one.spent) for one in settlement.customers] == [(CUSTOMER, Spent(NOON, 2, 2, 2, 2))]


def test_what_the_wallets_limit_forbids_is_not_counted_for_the_customer() -> None:
    limits = Limits(wallet=Caps(hour_count=1), customer=Caps(hour_count=3))
    settlement = settled(limits, move(A), move(A), move(B), customers=several(Spent(NOON, 1, 7, 1, 7)))
    assert codes(settlement) == [None, COUNT, None]
    assert settlement.customers[0].spent == Spent(NOON, 3, 9, 3, 9)


def test_a_customer_who_spends_nothing_is_not_written() -> None:
    assert settled(Limits(wallet=Caps(), customer=Caps(hour_count=1)), move(C), customers=several()).customers == []


def test_a_bulk_of_all_or_nothing_that_a_limit_rejects_leaves_no_trace() -> None:
    limits = Limits(wallet=Caps(hour_count=2), customer=Caps(hour_count=2))
    settlement = settled(limits, move(A), move(B), move(A), mode=Mode.ALL_OR_NOTHING, customers=several())
    error = settlement.outcomes[0].error
    assert error is not None
    assert (error.code, error.index) == (COUNT, 2)
    assert (settlement.postings, settlement.wallets, settlement.customers) == ([], [], [])


@pytest.mark.parametrize(
    ("text", "amounts"),
    [("0", {"": 0}), ("5, UGX:7", {"": 5, "UGX": 7}), ("UGX:7,USD:0", {"UGX": 7, "USD": 0})],
)
def test_amounts_are_named_by_currency(text: str, amounts: dict[str, int]) -> None:
    assert parse_amounts(text) == amounts


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "5,6", "XXX:5", "UGX:", "UGX:1,UGX:2", "5,", f"{AMOUNT_MAX}0"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|currency"):
        parse_amounts(text)
