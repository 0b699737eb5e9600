from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.customers import (
    PASSWORD_MAX,
    RegisterCustomer,
    decide,
    normal_email,
    normal_name,
    normal_national_id,
    normal_phone,
    registrations,
)
from domain.errors import InvalidField, Rejection
from domain.jobs import Kind
from tests.made import claimed, registration

FIRST, SECOND, THIRD = (UUID(int=number) for number in (1, 2, 3))
ADA, BOB = registration("ada"), registration("bob")
SPELLED = {"full_name": "Ada", "email": "a@b.rw", "national_id": "1199", "password": "12345678"}


def in_rwanda(text: str) -> str:
    return normal_phone(text, "RW")


@pytest.mark.parametrize(
    ("normal", "text", "expected"),
    [
        (normal_name, " Ada \t Uwase\n", "Ada Uwase"),
        (normal_name, "Ада", "Ада"),
        (normal_email, "Ada@Example.RW", "ada@example.rw"),
        (normal_email, "ada+one@example.rw", "ada+one@example.rw"),
        (normal_email, "ada@BÜCHER.example.rw", "ada@bücher.example.rw"),
        (normal_email, "ada@xn--bcher-kva.example.rw", "ada@bücher.example.rw"),
        (normal_national_id, "1 1990 8000 1234567", "119908000" + "1234567"),
        (normal_national_id, "ab-12/34", "AB1234"),
        (in_rwanda, "0788 123 456", "+250788123456"),
        (in_rwanda, "+250 788 123456", "+250788123456"),
        (in_rwanda, "+254 712 345678", "+254712345678"),
    ],
)
def test_two_spellings_of_the_same_thing_become_one(normal: Callable[[str], str], text: str, expected: str) -> None:
    assert normal(text) == expected


@pytest.mark.parametrize(
    ("normal", "text", "field"),
    [
        (normal_name, " \t\n", "full_name"),
        (normal_email, "ada", "email"),
        (normal_email, "ada@", "email"),
        (normal_email, "@example.rw", "email"),
        (normal_email, "ada@exa mple.rw", "email"),
        (normal_email, "ada@example.rw\r\nBcc: bob@example.rw", "email"),
        (normal_email, "ada..uwase@example.rw", "email"),
        (normal_national_id, "123", "national_id"),
        (normal_national_id, "- / -", "national_id"),
        (normal_national_id, "1" * 33, "national_id"),
        (normal_national_id, "12_34", "national_id"),
        (normal_national_id, "١٢٣٤", "national_id"),
        (in_rwanda, "ada", "phone"),
        (in_rwanda, "12", "phone"),
        (in_rwanda, "+999 123456789", "phone"),
        (in_rwanda, "+250 788 123 456 789", "phone"),
    ],
)
def test_what_cannot_be_right_is_refused_by_its_field(normal: Callable[[str], str], text: str, field: str) -> None:
    with pytest.raises(InvalidField, match=field) as caught:
        normal(text)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "changes",
    [
        {"full_name": ""},
        {"full_name": "a" * 201},
        {"email": "a@"},
        {"email": "a" * 255},
        {"national_id": "123"},
        {"password": "1234567"},
        {"password": "1" * (PASSWORD_MAX + 1)},
        {"phone": "12"},
        {"gender": "X"},
        {"gender": "m"},
        {"wallet": {"currency": "XAU"}},
        {"wallet": {"currency": "RWF", "balance": 1}},
        {"is_operator": True},
        {"full_name": None},
    ],
)
def test_a_registration_says_what_the_contract_lists_and_nothing_else(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(SPELLED | changes, RegisterCustomer)


@pytest.mark.parametrize("field", list(SPELLED))
def test_a_registration_lacks_nothing_that_is_required(field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({name: value for name, value in SPELLED.items() if name != field}, RegisterCustomer)


@pytest.mark.parametrize(
    ("second", "emails", "national_ids", "expected"),
    [
        (BOB, set(), set(), None),
        (BOB, {"bob@example.rw"}, {"index bob"}, Rejection.EMAIL_TAKEN),
        (BOB, set(), {"index bob"}, Rejection.NATIONAL_ID_TAKEN),
        (ADA, set(), set(), Rejection.EMAIL_TAKEN),
        (registration("bob", email=ADA.email), set(), set(), Rejection.EMAIL_TAKEN),
        (registration("bob", national_id_index=ADA.national_id_index), set(), set(), Rejection.NATIONAL_ID_TAKEN),
    ],
)
def test_who_comes_second_with_an_e_mail_or_national_id_is_refused(
    second: Any, emails: set[str], national_ids: set[str], expected: Rejection | None
) -> None:
    decision = decide({FIRST: ADA, SECOND: second}, emails, national_ids)
    assert decision.registered.get(FIRST) == ADA
    assert decision.rejected.get(SECOND) == expected
    assert (SECOND in decision.registered) == (expected is None)


def test_a_refused_registration_takes_nothing_from_the_next_one() -> None:
    half = registration("bob", email=ADA.email)  # Refused for its e-mail; its national id stays free.
    decision = decide({FIRST: ADA, SECOND: half, THIRD: BOB}, set(), set())
    assert list(decision.registered) == [FIRST, THIRD]


def test_registrations_are_read_from_the_jobs_payloads() -> None:
    job = claimed(Kind.CUSTOMER_REGISTER, ADA)
    assert registrations([job]) == {job.id: ADA}
