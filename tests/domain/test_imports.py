"""What the rows of a previous platform's files must say, in general."""

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122

import pytest

from domain.errors import InvalidField
from domain.imports import FileKind, header, identifier

AT = datetime(2019, 3, 4, 5, 6, 7, 891_000, tzinfo=UTC)
WALLETS = ["legacy_id", "customer_legacy_id", "currency", "balance_minor", "created_at"]


def test_columns_may_come_in_any_order_and_optional_ones_may_be_missing() -> None:
    found = header([" state", *reversed(WALLETS)])
    assert found.kind is FileKind.WALLETS
    assert found.pick(["S", "AT", "B", "C", "O", "L", ""]) == ("L", "O", "C", "B", "AT", "", "", "S")


@pytest.mark.parametrize(
    ("names", "field"),
    [
        (WALLETS[1:], "legacy_id"),
        ([*WALLETS, "colour"], "colour"),
        ([*WALLETS, "currency"], "currency"),
        (["email", "legacy_id"], "full_name"),
        (["legacy_id;email"], "columns"),
        (["legacy_id", "full_name", "Email", "national_id", "password_hash", "created_at"], "Email"),
        (["legacy_id", "full_name", "national_id", "password_hash", "created_at"], "email"),
    ],
)
def test_a_header_that_is_not_ours_is_refused_by_the_columns_name(names: list[str], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        header(names)
    assert refused.value.field == field


def test_an_id_is_a_version_7_uuid_of_the_legacy_date() -> None:
    one = identifier("customer", "C1", AT)
    assert (one.version, one.variant) == (7, RFC_4122)
    assert one.int >> 80 == int(AT.timestamp() * 1000)


def test_the_same_row_has_the_same_id_and_another_row_or_kind_another() -> None:
    ids = [identifier(*of, AT) for of in (("customer", "C1"), ("customer", "C1"), ("customer", "C2"), ("wallet", "C1"))]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_later_rows_have_later_ids() -> None:
    assert identifier("wallet", "9", AT) < identifier("wallet", "1", AT + timedelta(milliseconds=1))
