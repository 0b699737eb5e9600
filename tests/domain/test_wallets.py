import math
from uuid import UUID

import msgspec
import pytest

from domain.errors import InvalidField
from domain.jobs import Kind
from domain.money import CURRENCIES
from domain.wallets import (
    NUMBER_BODY_DIGITS,
    NUMBER_STRIDE,
    OpenWallet,
    SystemWallet,
    WalletOpening,
    WalletRequest,
    number,
    openings,
    parse_number,
    system_id,
)
from tests.made import claimed

SAMPLE = [number(sequence) for sequence in (1, 2, 3, 97, 1_000, 123_456_789, 10**NUMBER_BODY_DIGITS - 1)]


@pytest.mark.parametrize(("sequence", "expected"), [(0, "000000000098"), (1, "381966011308"), (10**10, "000000000098")])
def test_a_number_is_ten_digits_and_their_two_check_digits(sequence: int, expected: str) -> None:
    assert number(sequence) == expected


def test_the_check_digits_are_those_of_iso_7064() -> None:
    assert parse_number("0000000794" + "44", "number")  # The standard's own example for MOD 97-10 is 794 44.


@pytest.mark.parametrize("good", SAMPLE)
def test_a_number_reads_back(good: str) -> None:
    assert parse_number(good, "number") == good


@pytest.mark.parametrize("good", SAMPLE)
def test_no_single_wrong_digit_is_accepted(good: str) -> None:
    wrong = [
        good[:place] + digit + good[place + 1 :]
        for place in range(len(good))
        for digit in "0123456789"
        if digit != good[place]
    ]
    assert [one for one in wrong if is_accepted(one)] == []
    assert len(wrong) == 12 * 9


@pytest.mark.parametrize("good", SAMPLE)
def test_no_two_digits_that_changed_places_are_accepted(good: str) -> None:
    turned = {good[:at] + good[at + 1] + good[at] + good[at + 2 :] for at in range(len(good) - 1)} - {good}
    assert [one for one in turned if is_accepted(one)] == []
    assert turned


def test_no_number_is_given_twice() -> None:
    assert len({number(sequence) for sequence in range(1, 50_001)}) == 50_000
    assert math.gcd(NUMBER_STRIDE, 10**NUMBER_BODY_DIGITS) == 1  # So that the other bodies come once each, too.


@pytest.mark.parametrize("text", ["381966011308", "3819 6601 1308", "3819-6601-1308", " 381966011308 "])
def test_blanks_and_hyphens_do_not_matter(text: str) -> None:
    assert parse_number(text, "number") == "381966011308"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a wallet number has 12 digits"),
        ("38196601130", "a wallet number has 12 digits"),
        ("3819660113080", "a wallet number has 12 digits"),
        ("38196601130x", "a wallet number has 12 digits"),
        ("+81966011353", "a wallet number has 12 digits"),
        ("３８１９６６０１１３０８", "a wallet number has 12 digits"),  # noqa: RUF001 - full-width digits are the case
        ("38196601130²", "a wallet number has 12 digits"),
        ("381966011309", "the check digits do not match"),
        ("000000000000", "the check digits do not match"),
    ],
)
def test_what_is_no_number_is_refused_with_its_field(text: str, message: str) -> None:
    with pytest.raises(InvalidField, match=message) as caught:
        parse_number(text, "destination_number")
    assert caught.value.field == "destination_number"


def test_each_currency_has_its_own_system_wallets_that_never_change() -> None:
    ids = {system_id(role, currency) for role in SystemWallet for currency in CURRENCIES}
    assert len(ids) == len(SystemWallet) * len(CURRENCIES)
    assert system_id(SystemWallet.CASH_IN, "RWF") == UUID("7ab21484-9778-51ec-86d7-474f466c13ea")


@pytest.mark.parametrize("wish", [OpenWallet, WalletRequest])
@pytest.mark.parametrize(
    "body",
    [b'{"currency": "XAU"}', b'{"currency": "RWF", "type": "cash_in"}', b'{"currency": "RWF", "owner": 1}', b"{}"],
)
def test_a_wallet_nobody_may_have_cannot_be_asked_for(wish: type, body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=wish)


@pytest.mark.parametrize("request_type", [OpenWallet, WalletRequest])
def test_a_wallet_is_personal_unless_something_else_is_asked_for(
    request_type: type[OpenWallet | WalletRequest],
) -> None:
    assert msgspec.json.decode(b'{"currency": "RWF"}', type=request_type).type == "personal"


def test_openings_are_read_from_the_jobs_payloads() -> None:
    wish = WalletOpening(customer_id=UUID(int=1), currency="RWF", type="saving")
    job = claimed(Kind.WALLET_OPEN, wish)
    assert openings([job]) == {job.id: wish}


def is_accepted(text: str) -> bool:
    try:
        parse_number(text, "number")
    except InvalidField:
        return False
    return True
