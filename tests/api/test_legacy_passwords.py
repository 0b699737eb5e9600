"""Customers of a previous platform log in with the password they had, and its hash becomes one of ours."""

from collections.abc import Callable, Iterator
from pathlib import Path

import bcrypt
import pytest
from argon2 import PasswordHasher

from local.stack import Stack
from tests.api.clients import PASSWORD, Api, Customer, problem
from tests.api.conftest import Sql
from tests.api.processes import serving

OURS = "$argon2id$v=19$m=19456,t=2,p=1$"


@pytest.fixture(scope="module")
def other(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API process of our own: once it has met such a hash, its refusals take their time."""
    log: Path = tmp_path_factory.mktemp("log") / "api.log"
    with serving(stack.env, log) as api:
        yield api


@pytest.mark.parametrize(
    "foreign",
    [
        bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode(),
        PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD),
    ],
    ids=["bcrypt", "argon2"],
)
def test_the_first_login_replaces_the_hash(
    other: Api, new_customer: Callable[..., Customer], sql: Sql, foreign: str
) -> None:
    eve = new_customer()
    sql("UPDATE customers SET password_hash = :foreign WHERE id = :id", foreign=foreign, id=eve.id)
    login = {"email": eve.registration["email"], "password": PASSWORD}

    problem(other.post("/v1/auth/login", login | {"password": "wrong"}), 401, "invalid_credentials")
    assert stored(sql, eve) == foreign
    assert other.post("/v1/auth/login", login).status_code == 200
    assert stored(sql, eve).startswith(OURS)
    assert other.post("/v1/auth/login", login).status_code == 200


def stored(sql: Sql, customer: Customer) -> str:
    [row] = sql("SELECT password_hash FROM customers WHERE id = :id", id=customer.id)
    return str(row["password_hash"])
