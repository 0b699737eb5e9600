"""Freezing, unfreezing and closing wallets and customers, as API keys ask for it and as customers feel it."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from domain.access import Scope
from tests.api.clients import PASSWORD, Api, Customer, deposit, fields, problem
from tests.api.conftest import NewKey

FORGET_SECONDS = 3.0  # A session that has ended counts for a second in each process.

NewCustomer = Callable[..., Customer]
ROUTES = [f"/v1/{noun}/{{}}/{verb}" for noun in ("wallets", "customers") for verb in ("freeze", "unfreeze", "close")]


def id_of(route: str, customer: Customer) -> str:
    return customer.wallet_id if "wallets" in route else customer.id


@pytest.mark.parametrize("route", ROUTES)
def test_a_change_is_a_job_with_a_key_that_is_done_once(operator: Api, new_customer: NewCustomer, route: str) -> None:
    customer = new_customer()
    path = route.format(id_of(route, customer))
    _, noun, _, verb = path.removeprefix("/v1").split("/")
    problem(operator.send("POST", path, json={}), 400, "idempotency_key_missing")

    accepted = operator.post(path, {"reason": "Case 7"}, key=f"key of {path}".replace(" ", "-"))
    again = operator.post(path, {"reason": "Case 7"}, key=f"key of {path}".replace(" ", "-"))

    assert (accepted.status_code, accepted.json()["kind"]) == (202, f"{noun.removesuffix('s')}.{verb}")
    assert (again.json()["id"], again.headers["idempotency-hit"]) == (accepted.json()["id"], "true")
    other = operator.post(path, {"reason": "Case 8"}, key=f"key of {path}".replace(" ", "-"))
    problem(other, 422, "idempotency_key_reused")


@pytest.mark.parametrize("route", ROUTES)
def test_a_change_is_for_operators(ann: Customer, new_key: NewKey, route: str) -> None:
    path = route.format(uuid4())
    problem(ann.api.post(path, {}), 403, "forbidden")
    problem(new_key(*(one for one in Scope if one is not Scope.ALL)).post(path, {}), 403, "forbidden")
    job = new_key(Scope.ALL).finished(path, {})
    assert job["error"]["code"] == ("wallet_not_found" if "wallets" in route else "customer_not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": 5}, "reason"),
        ({"why": "so"}, "why"),
        ({"callback_url": "ftp://example.com"}, "callback_url"),
    ],
)
@pytest.mark.parametrize("route", [ROUTES[0], ROUTES[5]])
def test_a_bad_body_is_named(operator: Api, route: str, body: dict[str, Any], field: str) -> None:
    assert fields(operator.post(route.format(uuid4()), body)) == [field]


def test_a_wallet_is_frozen_unfrozen_emptied_and_closed(operator: Api, new_customer: NewCustomer) -> None:
    customer = new_customer(5)
    wallet = f"/v1/wallets/{customer.wallet_id}"
    out = {"wallet_id": customer.wallet_id, "amount": 5, "currency": "RWF"}

    assert operator.succeeded(f"{wallet}/freeze", {}) == {"wallet_id": customer.wallet_id, "state": "frozen"}
    assert customer.api.get(wallet).json()["state"] == "frozen"
    assert customer.api.finished("/v1/withdrawals", out)["error"]["code"] == "source_frozen"
    assert operator.succeeded(f"{wallet}/unfreeze", {})["state"] == "open"
    assert operator.finished(f"{wallet}/close", {})["error"]["code"] == "balance_not_zero"
    customer.api.succeeded("/v1/withdrawals", out)
    assert operator.succeeded(f"{wallet}/close", {})["state"] == "closed"
    assert customer.api.get(wallet).json()["state"] == "closed"
    assert operator.finished("/v1/deposits", deposit(customer.wallet_id))["error"]["code"] == "destination_closed"


def test_a_frozen_customer_is_logged_out_and_cannot_log_in_until_they_are_unfrozen(
    operator: Api, anyone: Api, new_customer: NewCustomer
) -> None:
    customer = new_customer()
    path, credentials = f"/v1/customers/{customer.id}", {"email": customer.registration["email"], "password": PASSWORD}

    assert operator.succeeded(f"{path}/freeze", {"reason": "Case 9"}) == {"customer_id": customer.id, "state": "frozen"}

    assert operator.get(path).json()["state"] == "frozen"
    assert operator.get(f"/v1/wallets/{customer.wallet_id}").json()["state"] == "frozen"
    problem(anyone.post("/v1/auth/login", credentials), 403, "customer_frozen")
    problem(anyone.post("/v1/auth/login", credentials | {"password": "wrong horse"}), 401, "invalid_credentials")
    token = {"refresh_token": customer.refresh_token}
    problem(anyone.post("/v1/auth/refresh", token), 401, "invalid_refresh_token")
    require_logged_out(customer)
    operator.succeeded(f"{path}/unfreeze", {})
    problem(anyone.post("/v1/auth/refresh", token), 401, "invalid_refresh_token")
    tokens = anyone.post("/v1/auth/login", credentials).json()
    assert anyone.holding(tokens["access_token"]).get("/v1/customers/me").json()["state"] == "open"


def test_a_closed_customer_is_gone_for_good(operator: Api, anyone: Api, new_customer: NewCustomer) -> None:
    customer = new_customer()
    path, credentials = f"/v1/customers/{customer.id}", {"email": customer.registration["email"], "password": PASSWORD}

    assert operator.finished(f"{path}/close", {})["error"]["code"] == "wallets_not_closed"
    operator.succeeded(f"/v1/wallets/{customer.wallet_id}/close", {})
    assert operator.succeeded(f"{path}/close", {})["state"] == "closed"

    problem(anyone.post("/v1/auth/login", credentials), 403, "customer_closed")
    require_logged_out(customer)
    opening = {"currency": "RWF", "customer_id": customer.id}
    assert operator.finished("/v1/wallets", opening)["error"]["code"] == "customer_closed"


def require_logged_out(customer: Customer) -> None:
    """Wait until every API process has forgotten the session."""
    deadline = time.monotonic() + FORGET_SECONDS
    while customer.api.get("/v1/customers/me").status_code != 401:
        assert time.monotonic() < deadline, "the access token still passes"
        time.sleep(0.05)
