from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.jobs import Kind
from domain.transactions import (
    METADATA_KEYS_MAX,
    CreateDeposit,
    CreateTransfer,
    CreateWithdrawal,
    Movement,
    deposit,
    movements,
    numbers,
    resolve,
    transfer,
    wallet_ids,
    withdrawal,
)
from domain.wallets import number
from tests.made import claimed

A, B, C = (UUID(int=number) for number in (1, 2, 3))
NUMBER = number(1)
ONE_SIDED = {"wallet_id": str(A), "amount": 5_00, "currency": "RWF"}
TWO_SIDED = {"source_wallet_id": str(A), "destination_wallet_id": str(B), "amount": 5_00, "currency": "RWF"}
TO_NUMBER = {"source_wallet_id": str(A), "destination_number": NUMBER, "amount": 5_00, "currency": "RWF"}

WRONG = [
    {"amount": 0},
    {"amount": -5},
    {"amount": 10**15 + 1},
    {"amount": "500"},
    {"amount": 5.0},
    {"amount": True},
    {"amount": None},
    {"currency": "XAU"},
    {"currency": "rwf"},
    {"description": "d" * 256},
    {"surprise": 1},
]


@pytest.mark.parametrize("request_type", [CreateDeposit, CreateWithdrawal])
@pytest.mark.parametrize("changes", [*WRONG, {"wallet_id": "mine"}, {"external_reference": ""}, {"metadata": {}}])
def test_a_deposit_or_withdrawal_that_is_wrong_is_refused(request_type: type, changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(ONE_SIDED | changes, request_type)


@pytest.mark.parametrize(
    "changes",
    [
        *WRONG,
        {"source_wallet_id": "mine"},
        {"destination_wallet_id": None},
        {"destination_number": NUMBER},
        {"destination_wallet_id": None, "destination_number": NUMBER[:-1] + "x"},
        {"destination_wallet_id": None, "destination_number": "0" * 12},
        {"metadata": {"": "v"}},
        {"metadata": {"k" * 41: "v"}},
        {"metadata": {"k": "v" * 501}},
        {"metadata": {"k": 1}},
        {"metadata": {str(key): "v" for key in range(METADATA_KEYS_MAX + 1)}},
    ],
)
def test_a_transfer_that_is_wrong_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(TWO_SIDED | changes, CreateTransfer)


def test_a_deposit_moves_money_to_the_wallet_and_from_nobody() -> None:
    request = CreateDeposit(wallet_id=A, amount=5_00, currency="RWF", description="cash", external_reference="r")
    expected = Movement(
        amount=5_00, currency="RWF", destination_wallet_id=A, description="cash", external_reference="r"
    )
    assert deposit(request) == expected


def test_a_withdrawal_moves_money_from_the_wallet_and_to_nobody() -> None:
    request = CreateWithdrawal(wallet_id=A, amount=5_00, currency="RWF", description="cash", external_reference="r")
    expected = Movement(amount=5_00, currency="RWF", source_wallet_id=A, description="cash", external_reference="r")
    assert withdrawal(request) == expected


@pytest.mark.parametrize(
    ("body", "destination"),
    [
        (TWO_SIDED, {"destination_wallet_id": B}),
        (TO_NUMBER, {"destination_number": NUMBER}),
        (TO_NUMBER | {"destination_number": f" {NUMBER[:4]}-{NUMBER[4:]}"}, {"destination_number": NUMBER}),
    ],
)
def test_a_transfer_keeps_all_that_was_said(body: dict[str, Any], destination: dict[str, Any]) -> None:
    request = msgspec.convert(body | {"description": "rent", "metadata": {"m": "may"}}, CreateTransfer)
    expected: dict[str, Any] = {"source_wallet_id": A, "description": "rent", "metadata": {"m": "may"}} | destination
    assert transfer(request) == Movement(amount=5_00, currency="RWF", **expected)


def test_a_movement_survives_being_queued() -> None:
    movement = Movement(amount=5_00, currency="RWF", source_wallet_id=A, destination_number=NUMBER, metadata={"k": "v"})
    job = claimed(Kind.TRANSFER_CREATE, movement)
    assert movements([job]) == {job.id: movement}


def test_numbers_are_looked_up_once_each_and_then_replaced() -> None:
    by_number = Movement(amount=1, currency="RWF", source_wallet_id=A, destination_number=NUMBER)
    by_id = Movement(amount=1, currency="RWF", source_wallet_id=A, destination_wallet_id=C)
    assert numbers({A: by_number, B: by_number, C: by_id}) == {NUMBER}
    resolved = resolve({A: by_number, B: by_id}, {NUMBER: B})
    assert [one.destination_wallet_id for one in resolved.values()] == [B, C]


def test_an_unknown_number_leaves_no_destination() -> None:
    by_number = Movement(amount=1, currency="RWF", source_wallet_id=A, destination_number=NUMBER)
    resolved = resolve({A: by_number}, {})[A]
    assert (resolved.destination_wallet_id, resolved.destination_number) == (None, None)


def test_the_wallets_to_lock_are_both_sides_of_every_movement_and_no_system_wallet() -> None:
    wanted = {
        A: Movement(amount=1, currency="RWF", source_wallet_id=A, destination_wallet_id=B),
        B: Movement(amount=1, currency="RWF", destination_wallet_id=C),
        C: Movement(amount=1, currency="RWF", source_wallet_id=A),
    }
    assert wallet_ids(wanted) == {A, B, C}
