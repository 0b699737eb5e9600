import asyncio

import pytest

from api.passwords import Passwords

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def hashed() -> str:
    return asyncio.run(Passwords().hash(PASSWORD))


@pytest.mark.parametrize(
    ("password", "matches"),
    [(PASSWORD, True), ("Correct horse", False), (PASSWORD + " ", False), ("", False), ("x" * 1_024, False)],
)
def test_only_the_same_password_matches(hashed: str, password: str, matches: bool) -> None:  # noqa: FBT001 - a column
    assert asyncio.run(Passwords().verify(password, hashed)) is matches


@pytest.mark.parametrize("stored", [None, "", "no hash", "$argon2id$v=19$broken"])
def test_without_a_hash_nothing_matches(stored: str | None) -> None:
    assert asyncio.run(Passwords().verify(PASSWORD, stored)) is False


def test_not_even_nobodys_own_password_opens_an_account_without_one() -> None:
    assert asyncio.run(Passwords().verify("nobody's password", None)) is False


def test_equal_passwords_have_different_hashes(hashed: str) -> None:
    assert asyncio.run(Passwords().hash(PASSWORD)) != hashed


def test_a_hash_says_that_it_is_argon2id_at_owasps_floor(hashed: str) -> None:
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_many_at_once_all_get_their_answer(hashed: str) -> None:
    async def verify_all() -> list[bool]:
        passwords = Passwords()
        return await asyncio.gather(
            *(passwords.verify(PASSWORD if number % 2 else "wrong", hashed) for number in range(10))
        )

    assert asyncio.run(verify_all()) == [False, True] * 5
