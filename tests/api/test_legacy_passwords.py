"""Customers of a previous platform log in with the password they had, and its hash becomes one of ours."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bcrypt
import pytest
from argon2 import PasswordHasher
from uuid_utils.compat import uuid7

from api.passwords import REFUSAL_SECONDS
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


@pytest.fixture
def imported(sql: Sql) -> Iterator[None]:
    """Let there have been an import; afterwards none: it would slow down each refusal of later tests."""
    sql("INSERT INTO operator_actions (id, actor, action, object) VALUES (:id, 'cli:a', 'import.run', 'x')", id=uuid7())
    yield
    sql("""
        DO $$ BEGIN
            ALTER TABLE operator_actions DISABLE TRIGGER operator_actions_append_only;
            DELETE FROM operator_actions WHERE action = 'import.run';
            ALTER TABLE operator_actions ENABLE TRIGGER operator_actions_append_only;
        END $$
    """)


def test_after_an_import_not_even_the_first_refusal_of_a_process_tells_whose_email_is_known(
    stack: Stack, imported: None, tmp_path: Path
) -> None:
    del imported
    login = {"email": "nobody@example.com", "password": "wrong"}
    took = []
    with serving(stack.env, tmp_path / "log") as fresh:
        for _ in range(5):  # On a busy machine one alone may be slow by itself.
            began = time.monotonic()
            problem(fresh.post("/v1/auth/login", login), 401, "invalid_credentials")
            took.append(time.monotonic() - began)
    assert min(took) >= REFUSAL_SECONDS, took
