import asyncio
import time

import bcrypt
import pytest
from argon2 import PasswordHasher, Type

from api.errors import TooManyRequests
from api.passwords import REFUSAL_SECONDS, Passwords

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def hashed() -> str:
    return asyncio.run(Passwords(0).hash(PASSWORD))


@pytest.mark.parametrize(
    ("password", "matches"),
    [(PASSWORD, True), ("Correct horse", False), (PASSWORD + " ", False), ("", False), ("x" * 1_024, False)],
)
def test_only_the_same_password_matches(hashed: str, password: str, matches: bool) -> None:  # noqa: FBT001 - a column
    assert asyncio.run(Passwords(0).verify(password, hashed)) is matches


@pytest.mark.parametrize("stored", [None, "", "no hash", "$argon2id$v=19$broken"])
def test_without_a_hash_nothing_matches(stored: str | None) -> None:
    assert asyncio.run(Passwords(0).verify(PASSWORD, stored)) is False


def test_not_even_nobodys_own_password_opens_an_account_without_one() -> None:
    assert asyncio.run(Passwords(0).verify("nobody's password", None)) is False


def test_equal_passwords_have_different_hashes(hashed: str) -> None:
    assert asyncio.run(Passwords(0).hash(PASSWORD)) != hashed


def test_a_hash_says_that_it_is_argon2id_at_owasps_floor(hashed: str) -> None:
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_many_at_once_all_get_their_answer(hashed: str) -> None:
    async def verify_all() -> list[bool]:
        passwords = Passwords(0)
        return await asyncio.gather(
            *(passwords.verify(PASSWORD if number % 2 else "wrong", hashed) for number in range(10))
        )

    assert asyncio.run(verify_all()) == [False, True] * 5


@pytest.mark.parametrize(("waiting_max", "answered"), [(1, 1), (3, 3), (0, 10)])
def test_so_many_wait_and_the_others_are_told_at_once(waiting_max: int, answered: int) -> None:
    async def hash_all() -> list[str | BaseException]:
        passwords = Passwords(waiting_max)
        return await asyncio.gather(*(passwords.hash(PASSWORD) for _ in range(10)), return_exceptions=True)

    found = asyncio.run(hash_all())
    assert [isinstance(one, TooManyRequests) for one in found] == [False] * answered + [True] * (10 - answered)


@pytest.fixture(scope="module")
def foreign() -> dict[str, str]:
    """Hashes of a previous platform, of the cheapest kind."""
    return {
        "bcrypt": bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode(),
        "php": bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$"),
        "argon2i": PasswordHasher(time_cost=1, memory_cost=64, parallelism=1, type=Type.I).hash(PASSWORD),
        "long": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode(),
    }


@pytest.mark.parametrize(
    ("kind", "password", "matches"),
    [
        ("bcrypt", PASSWORD, True),
        ("php", PASSWORD, True),
        ("argon2i", PASSWORD, True),
        ("long", "x" * 80, True),
        ("bcrypt", PASSWORD + " ", False),
        ("bcrypt", "nul\x00", False),
        ("argon2i", "", False),
    ],
)
def test_hashes_of_a_previous_platform_are_checked(
    foreign: dict[str, str],
    kind: str,
    password: str,
    matches: bool,  # noqa: FBT001 - a column
) -> None:
    passwords = Passwords(0)
    assert asyncio.run(passwords.verify(password, foreign[kind])) is matches
    assert passwords.is_foreign(foreign[kind])


def test_our_own_hashes_are_not_foreign_nor_is_what_is_none(hashed: str) -> None:
    assert [Passwords(0).is_foreign(one) for one in (hashed, "", "no hash")] == [False, False, False]


def test_once_there_are_others_every_refusal_takes_as_long(foreign: dict[str, str], hashed: str) -> None:
    passwords = Passwords(0)
    asyncio.run(passwords.verify(PASSWORD, foreign["bcrypt"]))
    for stored in (None, hashed, foreign["bcrypt"]):
        began = time.monotonic()
        assert not asyncio.run(passwords.verify("wrong", stored))
        assert time.monotonic() - began >= REFUSAL_SECONDS
