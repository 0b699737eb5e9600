"""Logging in, staying logged in, logging out; and what a thief of tokens gets."""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import jwt
import pytest

from tests.api.clients import PASSWORD, Api, Customer, bare, fields, log_in, problem
from tests.api.conftest import Sql

SAMPLES = 9
# Noise of a busy machine stays below it; a look-up without the hash is 10 times faster, not 3.
TIME_FACTOR_MAX = 3.0


@pytest.fixture
def eve(new_customer: Callable[..., Customer]) -> Customer:
    """A customer whose sessions a test may end."""
    return new_customer()


def test_a_login_gives_tokens_for_a_short_time(anyone: Api, ann: Customer) -> None:
    response = anyone.post("/v1/auth/login", {"email": ann.registration["email"], "password": PASSWORD})

    tokens = response.json()
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert {name: type(value) for name, value in tokens.items()} == {
        "access_token": str,
        "token_type": str,
        "expires_in": int,
        "refresh_token": str,
    }
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)


def test_an_access_token_names_the_customer_and_its_end(anyone: Api, ann: Customer) -> None:
    token = log_in(anyone, ann.registration["email"])["access_token"]

    claims = jwt.decode(token, options={"verify_signature": False})

    assert claims.keys() == {"iss", "aud", "sub", "sid", "jti", "iat", "exp"}
    assert claims["sub"] == ann.id
    assert claims["exp"] - claims["iat"] == 900


def test_every_login_is_a_session_of_its_own(anyone: Api, ann: Customer) -> None:
    first, second = (log_in(anyone, ann.registration["email"]) for _ in range(2))

    assert not set(first.values()) & {second["access_token"], second["refresh_token"]}


def test_an_email_is_the_same_in_capitals(anyone: Api, ann: Customer) -> None:
    assert log_in(anyone, ann.registration["email"].upper())


@pytest.mark.parametrize("email", ["nobody@example.com", "no e-mail", "", "nobody@example", "'--@example.com"])
def test_a_wrong_password_and_an_unknown_email_get_the_same_answer(anyone: Api, ann: Customer, email: str) -> None:
    wrong = anyone.post("/v1/auth/login", {"email": ann.registration["email"], "password": "wrong horse"})
    unknown = anyone.post("/v1/auth/login", {"email": email, "password": PASSWORD})

    problem(wrong, 401, "invalid_credentials")
    assert wrong.headers["www-authenticate"] == "Bearer"
    assert bare(wrong) == bare(unknown)


def test_a_wrong_password_and_an_unknown_email_take_the_same_time(anyone: Api, ann: Customer) -> None:
    def seconds(email: str) -> float:
        started = time.perf_counter()
        anyone.post("/v1/auth/login", {"email": email, "password": "wrong horse"})
        return time.perf_counter() - started

    pairs = [(seconds(ann.registration["email"]), seconds("nobody@example.com")) for _ in range(SAMPLES)]

    wrong, unknown = (statistics.median(column) for column in zip(*pairs, strict=True))
    assert 1 / TIME_FACTOR_MAX < wrong / unknown < TIME_FACTOR_MAX


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/auth/login", {"email": "a@example.com"}, "password"),
        ("/v1/auth/login", {"password": PASSWORD}, "email"),
        ("/v1/auth/login", {"email": "a@example.com", "password": 12345678}, "password"),
        ("/v1/auth/login", {"email": "a@example.com", "password": "x" * 1_025}, "password"),
        ("/v1/auth/login", {"email": "a@example.com", "password": PASSWORD, "remember": True}, "remember"),
        ("/v1/auth/refresh", {}, "refresh_token"),
        ("/v1/auth/refresh", {"refresh_token": None}, "refresh_token"),
        ("/v1/auth/refresh", {"refresh_token": "x" * 201}, "refresh_token"),
        ("/v1/auth/logout", {}, "refresh_token"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_malformed_body_names_its_field(anyone: Api, path: str, body: dict[str, object], field: str) -> None:
    assert fields(anyone.post(path, body)) == [field]


def test_a_refresh_rotates_both_tokens(anyone: Api, eve: Customer) -> None:
    response = anyone.post("/v1/auth/refresh", {"refresh_token": eve.refresh_token})

    tokens = response.json()
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert tokens.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert tokens["refresh_token"] != eve.refresh_token
    assert anyone.holding(tokens["access_token"]).get("/v1/customers/me").json()["id"] == eve.id


def test_a_refresh_leaves_the_access_token_before_it_alive(anyone: Api, eve: Customer) -> None:
    anyone.post("/v1/auth/refresh", {"refresh_token": eve.refresh_token})

    assert eve.api.get("/v1/customers/me").status_code == 200


def test_a_refresh_token_that_comes_twice_ends_the_whole_family(anyone: Api, eve: Customer) -> None:
    rotated = anyone.post("/v1/auth/refresh", {"refresh_token": eve.refresh_token}).json()

    problem(anyone.post("/v1/auth/refresh", {"refresh_token": eve.refresh_token}), 401, "invalid_refresh_token")

    newest = anyone.post("/v1/auth/refresh", {"refresh_token": rotated["refresh_token"]})
    problem(newest, 401, "invalid_refresh_token")
    for token in (eve.access_token, rotated["access_token"]):
        problem(anyone.holding(token).get("/v1/customers/me"), 401, "unauthenticated")


def test_a_stolen_session_leaves_the_customers_other_sessions_alone(anyone: Api, eve: Customer) -> None:
    other = log_in(anyone, eve.registration["email"])
    for _ in range(2):
        anyone.post("/v1/auth/refresh", {"refresh_token": eve.refresh_token})

    assert anyone.holding(other["access_token"]).get("/v1/customers/me").status_code == 200
    assert anyone.post("/v1/auth/refresh", {"refresh_token": other["refresh_token"]}).status_code == 200


def test_of_eight_uses_at_once_at_most_one_succeeds_and_the_family_ends(anyone: Api, eve: Customer) -> None:
    def refresh(_: int) -> int:
        return anyone.post("/v1/auth/refresh", {"refresh_token": eve.refresh_token}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(refresh, range(8)))

    assert statuses == [200] + [401] * 7
    problem(eve.api.get("/v1/customers/me"), 401, "unauthenticated")


@pytest.mark.parametrize("path", ["/v1/auth/refresh", "/v1/auth/logout"])
@pytest.mark.parametrize("token", ["", "unknown", "é", "tk_" + "A" * 43])
def test_an_unknown_refresh_token_is_refused(anyone: Api, path: str, token: str) -> None:
    problem(anyone.post(path, {"refresh_token": token}), 401, "invalid_refresh_token")


def test_an_access_token_does_not_refresh(anyone: Api, eve: Customer) -> None:
    response = anyone.post("/v1/auth/refresh", {"refresh_token": eve.access_token[:200]})

    problem(response, 401, "invalid_refresh_token")


def test_a_session_ends_when_it_expires(anyone: Api, eve: Customer, sql: Sql) -> None:
    session = UUID(jwt.decode(eve.access_token, options={"verify_signature": False})["sid"])
    sql("UPDATE sessions SET expires_at = now() WHERE id = :id", id=session)

    problem(anyone.post("/v1/auth/refresh", {"refresh_token": eve.refresh_token}), 401, "invalid_refresh_token")
    problem(eve.api.get("/v1/customers/me"), 401, "unauthenticated")


def test_a_logout_ends_the_session_and_its_access_tokens(anyone: Api, eve: Customer) -> None:
    assert eve.api.get("/v1/customers/me").status_code == 200

    response = anyone.post("/v1/auth/logout", {"refresh_token": eve.refresh_token})

    assert (response.status_code, response.content) == (204, b"")
    problem(eve.api.get("/v1/customers/me"), 401, "unauthenticated")
    problem(anyone.post("/v1/auth/refresh", {"refresh_token": eve.refresh_token}), 401, "invalid_refresh_token")


def test_a_logout_may_be_repeated(anyone: Api, eve: Customer) -> None:
    answers = [anyone.post("/v1/auth/logout", {"refresh_token": eve.refresh_token}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 204]
