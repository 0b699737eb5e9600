"""Bytes that nobody meant: whatever a parser is given, it soon answers, or raises what it says that it raises.

Each begins with what it takes and is changed at random. FUZZ_SECONDS=600 fuzzes each parser for so long, SEED repeats a
run; a finding names the bytes.
"""

import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest

import api.events
import api.pages
import domain.addresses
import domain.customers
import domain.money
import domain.wallets
from api.bodies import decode
from api.errors import Invalid
from api.jobs import KEY
from api.tokens import TokenKeys
from domain.errors import InvalidField
from domain.transactions import CreateDeposit, CreateTransfer
from settings import Settings

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0.5"))
INPUTS_MIN = 100  # However slow the machine is.
SEED = int(os.environ.get("SEED", "20261126"))
INPUT_BYTES_MAX = 4_096
INPUT_SECONDS_MAX = 1.0  # Of the process itself. None takes a hundredth of it; an expression that backtracks, years.
TOKEN_KEYS = TokenKeys(Settings(token_key="a key of tokens that nothing else uses"))
TOKEN = TOKEN_KEYS.sign({"sub": "019a87c1-5b20-7d18-b6c3-92f4a7e0d531"})
WALLET = b'"019a87c1-5b20-7d18-b6c3-92f4a7e0d531"'
DEPOSIT = b'{"wallet_id": ' + WALLET + b', "amount": 1500, "currency": "RWF", "description": "x"}'
TRANSFER = (
    b'{"source_wallet_id": ' + WALLET + b', "destination_number": "145898033972", "amount": 1, "currency": "RWF",'
    b' "metadata": {"a": "b"}}'
)
PIECES = [
    *(
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xe2\x80\xae",
        b"\xc0\xaf",
        b"\\u0000",
        b"\\ud800",
        b"\r\n",
        b"%00",
        b"{",
        b"}",
        b"[",
    ),
    *(
        b'"',
        b":",
        b",",
        b".",
        b"-",
        b"=",
        b"0",
        b"1e400",
        b"NaN",
        b"-0",
        b"9" * 30,
        b"9223372036854775808",
        b"0x10",
        b"1.5",
    ),
    *(
        b"true",
        b"null",
        b"@",
        b"[::1]",
        b"127.0.0.1",
        b"//",
        b"#",
        b"\\",
        b"amount",
        b"\xc2\xa0",
        b"\xef\xbc\x91",
        b"a" * 300,
    ),
]


def text(data: bytes) -> str:
    """Return bytes as they come out of JSON, with lone surrogates and all; as they come out of a header, if not."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def sound_url(data: bytes) -> None:
    """What was let pass is let pass again, as it is: it is stored, and judged anew before each message."""
    found = url(text(data))
    assert again(url, found) == found


def url(given: str) -> str:
    return domain.addresses.parse_url(given, "url", allow_loopback=False)


def sound_place(data: bytes) -> None:
    """What is taken for a place in the feed is one that PostgreSQL can be asked about, and has a cursor."""
    found = api.events.decode_cursor(text(data))
    assert 0 <= found.xact_id < 2**63
    assert again(api.events.decode_cursor, api.events.encode_cursor(found)) == found


def again(parse: Callable[[str], Any], made: str) -> Any:
    """Parse what was made of something that was taken: here no refusal is expected."""
    try:
        return parse(made)
    except (Invalid, InvalidField) as error:
        raise AssertionError(f"{made!r} is refused") from error


def currency(data: bytes) -> None:
    domain.money.require_currency(text(data))


def sound_deposit(data: bytes) -> None:
    """What is taken for money is an integer of minor units, whatever it looked like."""
    found = decode(data, CreateDeposit)
    assert type(found.amount) is int
    assert 1 <= found.amount <= domain.money.AMOUNT_MAX


def sound_key(data: bytes) -> None:
    if KEY.fullmatch(text(data)):
        assert 1 <= len(data) <= 255
        assert all(0x21 <= byte <= 0x7E for byte in data)


def sound_token(data: bytes) -> None:
    TOKEN_KEYS.verify(text(data))
    raise AssertionError("a token that nobody gave out")


Parser = tuple[Callable[[bytes], Any], list[bytes], tuple[type[Exception], ...]]
PARSERS: dict[str, Parser] = {
    "money": (sound_deposit, [DEPOSIT], (Invalid, InvalidField)),
    "transfers": (lambda data: decode(data, CreateTransfer), [TRANSFER], (Invalid, InvalidField)),
    "currencies": (currency, [b"RWF", b"USD"], (InvalidField,)),
    "cursors by id": (
        lambda data: api.pages.before_id(text(data)),
        [b"MDE5YTg3YzEtNWIyMC03ZDE4LWI2YzMtOTJmNGE3ZTBkNTMx"],
        (Invalid,),
    ),
    "cursors by number": (lambda data: api.pages.before_sequence(text(data)), [b"MTIzNDU"], (Invalid,)),
    "cursors of the feed of events": (
        sound_place,
        [b"NzQxLjAxOWE4N2MxLTViMjAtN2QxOC1iNmMzLTkyZjRhN2UwZDUzMQ"],
        (Invalid,),
    ),
    "idempotency keys": (sound_key, [b"order-17", b"a" * 255], ()),
    "tokens": (sound_token, [TOKEN.encode()], (jwt.InvalidTokenError,)),
    "webhook URLs": (
        sound_url,
        [
            b"https://example.com/webhooks?a=b",
            b"https://[2606:4700::1]:8443/x",
            b"https://example.com?".ljust(domain.addresses.URL_CHARACTERS_MAX, b"a"),
        ],
        (InvalidField,),
    ),
    "e-mail addresses": (
        lambda data: domain.customers.normal_email(text(data)),
        [b"demo@example.com"],
        (InvalidField,),
    ),
    "phone numbers": (
        lambda data: domain.customers.normal_phone(text(data), "RW"),
        [b"+250 788 123 456"],
        (InvalidField,),
    ),
    "names": (lambda data: domain.customers.normal_name(text(data)), [b"Ann Uwase"], (InvalidField,)),
    "national ids": (
        lambda data: domain.customers.normal_national_id(text(data)),
        [b"1199000000000001"],
        (InvalidField,),
    ),
    "wallet numbers": (lambda data: domain.wallets.parse_number(text(data), "n"), [b"145898033972"], (InvalidField,)),
}


@pytest.fixture(autouse=True)
def timed() -> Iterator[None]:
    """Raise an error in whatever has taken too long since the timer was set."""

    def late(*_: object) -> None:
        raise TimeoutError(f"no answer within {INPUT_SECONDS_MAX} s")

    former = signal.signal(signal.SIGVTALRM, late)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, former)


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_raises_nothing_but_what_it_says(name: str) -> None:
    parse, seeds, expected = PARSERS[name]
    chance = random.Random(f"{SEED} {name}")  # noqa: S311 - repeatable is what it must be
    known, tried, deadline = list(seeds), 0, time.monotonic() + SECONDS
    while time.monotonic() < deadline or tried <= INPUTS_MIN:
        data, tried = changed(chance, chance.choice(known)), tried + 1
        if data in seeds:
            continue
        signal.setitimer(signal.ITIMER_VIRTUAL, INPUT_SECONDS_MAX)
        try:
            parse(data)
        except expected:
            continue
        except Exception as error:
            raise AssertionError(f"SEED={SEED}, input {tried}: {data!r} raised {error!r}") from error
        if len(known) < 1_000:  # What is taken may lead to more that is.
            known.append(data)


def test_an_expression_that_backtracks_is_found() -> None:
    signal.setitimer(signal.ITIMER_VIRTUAL, INPUT_SECONDS_MAX)
    with pytest.raises(TimeoutError):
        re.fullmatch(r"(a+)+", "a" * 60 + "b")


def changed(chance: random.Random, data: bytes) -> bytes:
    """Change some bytes: flip, leave out, put in, double, or cut."""
    result = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randint(0, len(result))
        match chance.randint(0, 5):
            case 0 if result:
                result[place - 1] ^= 1 << chance.randint(0, 7)
            case 1:
                del result[place : place + chance.randint(1, 8)]
            case 2:
                result[place:place] = chance.choice(PIECES)
            case 3:
                result[place:place] = result[: chance.randint(0, 64)]
            case 4:
                result[place : place + 1] = bytes([chance.randint(0, 255)])
            case _:
                del result[place + chance.randint(0, 64) :]
    return bytes(result[:INPUT_BYTES_MAX])
