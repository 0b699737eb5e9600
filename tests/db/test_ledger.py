"""The tally of a reading: what was posted, debited and credited are the same transactions, each once."""

import random

import pytest

from db.ledger import PRIME, Tally
from domain.ledger import SEAL_BYTES

A, B, C, D, E = (bytes([number]) * SEAL_BYTES for number in (1, 2, 3, 4, 255))
POINT = 2**129 + 1  # Any.


def tallied(debits: list[bytes], credits_: list[bytes], posted: list[bytes]) -> bool:
    tally = Tally(point=POINT)
    sides = [(-1, one) for one in debits] + [(1, one) for one in credits_]
    random.Random(1).shuffle(sides)  # noqa: S311 - the order of entries is another one than that of transactions
    for amount, transaction in sides:
        tally.enter(amount, transaction)
    for transaction in posted:
        tally.post(transaction)
    return tally.debits == tally.credits == tally.transactions


def test_each_transaction_twice_entered_is_a_match() -> None:
    assert tallied([], [], [])
    assert tallied([A, B, E], [E, A, B], [B, E, A])


@pytest.mark.parametrize(
    ("debits", "credits_", "posted"),
    [
        ([A, B], [A, B], [A, B, C]),
        ([A, B, C], [A, B, C], [A, B]),
        ([A, A], [B, B], [A, B]),
        ([A, A, B], [A, B, B], [A, B, C]),
        ([A, A, C], [A, A, C], [A, B, C]),
        ([A, B, B], [A, A, B], [A, B]),
        ([A, A], [], [A]),
        ([], [], [A]),
        ([A, C], [A, C], [B, B]),  # Their sums are the same,
        ([A, D], [A, D], [B, B]),  # and so are the products of these.
    ],
)
def test_a_side_too_many_or_too_few_is_none(debits: list[bytes], credits_: list[bytes], posted: list[bytes]) -> None:
    assert not tallied(debits, credits_, posted)


def test_every_seal_has_a_factor_of_its_own() -> None:
    assert int.from_bytes(b"\xff" * SEAL_BYTES) < PRIME
    assert pow(2, PRIME - 1, PRIME) == 1  # Fermat: the argument holds of a prime.


def test_an_entry_of_no_transaction_counts_for_none() -> None:
    tally = Tally(point=POINT)
    tally.enter(-1, None)
    assert (tally.debits, tally.credits) == (1, 1)
