"""Rows of customers: what they say, or every rule that they break."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.customers import normal_email, normal_phone
from domain.errors import InvalidField
from domain.imported_customers import (
    ImportedCustomer,
    SealedCustomer,
    StoredCustomer,
    Taken,
    differing,
    duplicates,
    parse,
)
from domain.imports import OPTIONAL, REQUIRED, FileKind, Problem

NOW = datetime(2026, 11, 25, tzinfo=UTC)
HASH = "$2b$10$Q9GvFiMtUEwpZbOMKpTuI.tO.neVRQpGa6YgXw51dfRSuWCNMjc8q"
GOOD = {
    "legacy_id": "C1",
    "full_name": " Lumira  Wa'Keno ",
    "email": "Lumi.Ra+1@Post.example",
    "national_id": "1 1990 8001 2345678",
    "password_hash": HASH,
    "created_at": "2019-03-04T05:06:07Z",
    "phone": "0788123456",
    "gender": "F",
}
COLUMNS = (*REQUIRED[FileKind.CUSTOMERS], *OPTIONAL[FileKind.CUSTOMERS])
SEALED = SealedCustomer(
    id=UUID(int=1),
    legacy_id="C1",
    full_name="A",
    email="a@post.example",
    national_id_sealed="s",
    national_id_index="i",
    phone_sealed=None,
    phone_index=None,
    gender=None,
    password_hash=HASH,
    created_at=NOW,
)


def parsed(**changes: str) -> ImportedCustomer | list[Problem]:
    row = GOOD | changes
    return parse([row[name] for name in COLUMNS], NOW, "RW")


def test_a_good_row_is_normalised_as_a_registration_is() -> None:
    assert parsed() == ImportedCustomer(
        legacy_id="C1",
        full_name="Lumira Wa'Keno",
        email="lumi.ra+1@post.example",
        national_id="1199080012345678",
        phone="+250788123456",
        gender="F",
        password_hash=HASH,
        created_at=datetime(2019, 3, 4, 5, 6, 7, tzinfo=UTC),
    )


def test_phone_and_gender_may_be_empty() -> None:
    row = parsed(phone="", gender="")
    assert isinstance(row, ImportedCustomer)
    assert (row.phone, row.gender) == (None, None)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("legacy_id", ""),
        ("full_name", "  "),
        ("full_name", "x" * 201),
        ("full_name", "a\x00b"),
        ("email", "nobody"),
        ("email", "two..dots@post.example"),
        ("email", f"{'x' * 250}@post.example"),
        ("email", "a@localhost"),
        ("national_id", "12"),
        ("password_hash", "secret"),
        ("created_at", "2030-01-01T00:00:00Z"),
        ("phone", "12"),
        ("gender", "X"),
    ],
)
def test_a_bad_value_is_a_problem_of_its_field(field: str, text: str) -> None:
    problems = parsed(**{field: text})
    assert isinstance(problems, list)
    assert [problem.field for problem in problems] == [field]


def test_a_rule_quotes_no_address() -> None:
    for address in ("ann@exa\N{SNOWMAN}mple.com", "a(nn@post.example"):
        problems = parsed(email=address)
        assert problems == [Problem("email", "is an e-mail address, with a dot behind the @-sign")]


def test_every_rule_that_a_row_breaks_is_named() -> None:
    problems = parsed(email="nobody", national_id="12", gender="X")
    assert isinstance(problems, list)
    assert [problem.field for problem in problems] == ["email", "national_id", "gender"]


@pytest.mark.parametrize(
    "email", ["a@post.example", "A.B_c+d-e@sub.post.example", "'quoted'@post.example", "ünal@post.example"]
)
def test_the_short_way_for_plain_addresses_leads_where_the_long_one_does(email: str) -> None:
    row = parsed(email=email)
    assert isinstance(row, ImportedCustomer)
    assert row.email == normal_email(email)


@pytest.mark.parametrize(
    "phone",
    [
        "+250788123456",
        "+254712345678",
        "+2540712345678",
        "+12025550123",
        "+5491123456789",
        "+541115123456789",
        "+25078812",
    ],
)
def test_the_short_way_for_plain_numbers_leads_where_the_long_one_does(phone: str) -> None:
    row = parsed(phone=phone)
    try:
        expected = normal_phone(phone, "RW")
    except InvalidField:
        assert isinstance(row, list)
    else:
        assert isinstance(row, ImportedCustomer)
        assert row.phone == expected


def test_the_first_of_equal_keys_is_good_and_those_after_it_are_not() -> None:
    others = [
        SEALED,
        replace(SEALED, legacy_id="C2", national_id_index="j"),
        replace(SEALED, legacy_id="C3", email="b@post.example"),
        replace(SEALED, email="c@post.example", national_id_index="k"),
        replace(SEALED, legacy_id="C4", email="d@post.example", national_id_index="l"),
    ]
    found = duplicates(others, Taken(legacy_ids=[], emails=["d@post.example"], national_ids=["l"]))
    assert [[problem.field for problem in one] for one in found] == [
        [],
        ["email"],
        ["national_id"],
        ["legacy_id"],
        ["email", "national_id"],
    ]


def test_a_difference_names_the_field_and_no_value() -> None:
    stored = StoredCustomer(
        legacy_id="C1",
        full_name="B",
        email="a@post.example",
        national_id_index="other",
        phone_index=None,
        gender=None,
        created_at=NOW,
    )
    problems = [("full_name", "is not the source's"), ("national_id", "is not the source's")]
    assert differing(SEALED, stored) == [Problem(*one) for one in problems]
