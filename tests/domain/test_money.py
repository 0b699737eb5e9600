import msgspec
import pytest

from domain.errors import InvalidField
from domain.money import AMOUNT_MAX, CURRENCIES, Amount, Currency, require_currency


@pytest.mark.parametrize("amount", [b"1", b"1500", b"1000000000000000"])
def test_an_amount_is_a_whole_number_of_minor_units(amount: bytes) -> None:
    assert msgspec.json.decode(amount, type=Amount) == int(amount)


@pytest.mark.parametrize(
    "amount",
    [
        b"0",
        b"-1",
        b"-0",
        b"1000000000000001",
        b"9223372036854775808",
        b"1" * 400,
        b"5.0",
        b"5.5",
        b"1e3",
        b'"5"',
        b"true",
        b"null",
        b"NaN",
        b"Infinity",
        b"[5]",
    ],
)
def test_anything_else_is_no_amount(amount: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(amount, type=Amount)


def test_the_largest_amount_fits_two_thousand_times_into_a_bigint() -> None:
    assert AMOUNT_MAX == 10**15
    assert 2_000 * AMOUNT_MAX < 2**63


@pytest.mark.parametrize("code", ["RWF", "KES", "USD", "EUR", "JPY", "BHD"])
def test_money_that_people_carry_is_known(code: str) -> None:
    require_currency(code)


@pytest.mark.parametrize("code", ["XAU", "XTS", "XXX", "XDR", "rwf", "Rwf", "ZZZ", "", "RW", "RWF "])
def test_metals_tests_and_inventions_are_no_currency(code: str) -> None:
    with pytest.raises(InvalidField, match="is not an ISO 4217 currency code") as caught:
        require_currency(code)
    assert caught.value.field == "currency"


@pytest.mark.parametrize("code", [b'"RW"', b'"RWFF"', b"646"])
def test_a_code_has_three_letters(code: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(code, type=Currency)


def test_every_code_is_three_capitals() -> None:
    assert [code for code in CURRENCIES if not (len(code) == 3 and code.isascii() and code.isupper())] == []
