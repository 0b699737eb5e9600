"""Rows of wallets: what they say, or every rule that they break."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import asdict, replace

from domain.imported_wallets import ImportedWallet, StoredWallet, Taken, differing, duplicates, parse
from domain.imports import OPTIONAL, REQUIRED, FileKind, Problem
from domain.wallets import number

NOW = datetime(2026, 11, 25, tzinfo=UTC)
BALANCE_MAX = 10**15
GOOD = {
    "legacy_id": "W1",
    "customer_legacy_id": "C1",
    "currency": "USD",
    "balance_minor": "1250",
    "created_at": "2019-03-04T05:06:07Z",
    "number": number(7),
    "type": "saving",
    "state": "frozen",
}
COLUMNS = (*REQUIRED[FileKind.WALLETS], *OPTIONAL[FileKind.WALLETS])
ROW = ImportedWallet(
    legacy_id="W1",
    customer_legacy_id="C1",
    number=number(7),
    currency="USD",
    type="saving",
    state="frozen",
    balance=12_50,
    created_at=datetime(2019, 3, 4, 5, 6, 7, tzinfo=UTC),
)


def parsed(**changes: str) -> ImportedWallet | list[Problem]:
    row = GOOD | changes
    return parse([row[name] for name in COLUMNS], NOW, BALANCE_MAX)


def test_a_good_row_is_a_wallet() -> None:
    assert parsed() == ROW


def test_number_type_and_state_may_be_empty() -> None:
    assert parsed(number="", type="", state="") == replace(ROW, number=None, type="personal", state="open")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("legacy_id", ""),
        ("customer_legacy_id", ""),
        ("currency", "usd"),
        ("currency", "XAU"),
        *(("balance_minor", text) for text in ("", "-1", "12.50", "1e3", "\uff11", str(BALANCE_MAX + 1), "9" * 17)),
        ("created_at", "2019-03-04"),
        ("number", "123456789012"),
        ("type", "cash_in"),
        ("state", "lost"),
    ],
)
def test_a_bad_value_is_a_problem_of_its_field(field: str, text: str) -> None:
    problems = parsed(**{field: text})
    assert isinstance(problems, list)
    assert [problem.field for problem in problems] == [field]


def test_a_rule_quotes_no_value() -> None:
    assert parsed(currency="ann@post.example") == [Problem("currency", "is an ISO 4217 code, such as RWF")]


def test_a_closed_wallet_is_empty() -> None:
    assert parsed(state="closed") == [Problem("balance_minor", "of a closed wallet is 0")]
    assert isinstance(parsed(state="closed", balance_minor="0"), ImportedWallet)


def test_the_first_of_equal_keys_is_good_and_an_owner_is_needed() -> None:
    batch = [
        ROW,
        replace(ROW, number=None),
        replace(ROW, legacy_id="W2"),
        replace(ROW, legacy_id="W3", number=None, customer_legacy_id="C2"),
        replace(ROW, legacy_id="W4", number=None),
        replace(ROW, legacy_id="W5", number=None),
    ]
    found = duplicates(batch, Taken(legacy_ids=["W5"], numbers=[], customers=["C1"]))
    fields = [[problem.field for problem in one] for one in found]
    assert fields == [[], ["legacy_id"], ["number"], ["customer_legacy_id"], [], ["legacy_id"]]


def test_a_balance_is_compared_to_the_minor_unit() -> None:
    stored = StoredWallet(**asdict(ROW) | {"balance": 12_51})
    assert differing(ROW, stored) == [Problem("balance_minor", "is 1251, not 1250")]
    assert differing(replace(ROW, number=None), replace(stored, balance=12_50)) == []
