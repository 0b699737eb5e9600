"""What operators did can be read by operators: by whom, to what and why."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from local.stack import Stack
from tests.api.clients import Api, Customer, deposit, problem
from tests.api.conftest import NewKey
from tests.sinks import Sinks

NewCustomer = Callable[..., Customer]


def actions(operator: Api, object_: str, **narrowed: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = operator.get("/v1/audit/actions", {"object": object_, **narrowed}).json()["items"]
    return items


def test_a_freeze_is_recorded_with_its_reason_and_its_job(operator: Api, new_customer: NewCustomer) -> None:
    wallet_id = new_customer().wallet_id
    job = operator.finished(f"/v1/wallets/{wallet_id}/freeze", {"reason": "Case 11"})
    operator.succeeded(f"/v1/wallets/{wallet_id}/unfreeze", {})

    unfrozen, frozen = actions(operator, wallet_id)

    assert UUID(frozen.pop("id")) < UUID(unfrozen["id"])
    assert frozen.pop("at") <= unfrozen["at"]
    assert frozen.pop("actor").startswith("key:")
    assert frozen == {
        "action": "wallet.freeze",
        "object": wallet_id,
        "details": {"reason": "Case 11", "state": "frozen"},
        "job_id": job["id"],
    }
    assert (unfrozen["action"], unfrozen["details"]) == ("wallet.unfreeze", {"state": "open"})
    assert actions(operator, wallet_id, action="wallet.unfreeze") == [unfrozen]


def test_what_was_refused_is_not_recorded(operator: Api, new_customer: NewCustomer) -> None:
    customer = new_customer(5)
    assert operator.finished(f"/v1/wallets/{customer.wallet_id}/close", {})["state"] == "rejected"
    assert actions(operator, customer.wallet_id) == []


def test_a_key_is_recorded_from_its_creation_to_its_end(stack: Stack, operator: Api) -> None:
    made = stack.command("keys", "create", "--scope", "wallets:read", "--name", "shop", "--json")
    key_id = made.partition('"id":"')[2].partition('"')[0]
    stack.command("keys", "revoke", key_id)

    revoked, created = actions(operator, key_id)

    assert (created["action"], revoked["action"]) == ("key.create", "key.revoke")
    assert created["actor"] == revoked["actor"]
    assert created["actor"].startswith("cli:")
    assert created["details"] == {"name": "shop", "scopes": ["wallets:read"], "expires_at": None}


def test_a_command_lists_what_the_route_lists(stack: Stack, operator: Api) -> None:
    """And narrows it likewise."""
    listed = [msgspec.json.decode(line) for line in stack.command("audit", "actions", "--limit", "3").splitlines()]
    assert listed == operator.get("/v1/audit/actions", {"limit": "3"}).json()["items"]
    [first, second, *_] = listed
    narrowed = ("--before", first["id"], "--object", second["object"], "--action", second["action"], "--limit", "1")
    assert msgspec.json.decode(stack.command("audit", "actions", *narrowed)) == second


def test_a_new_secret_is_recorded_without_the_secret(operator: Api, new_key: NewKey, sink: Sinks) -> None:
    key = new_key("webhooks:write")
    endpoint = key.post("/v1/webhook-endpoints", {"url": sink.open().url}).json()["id"]
    key.post(f"/v1/webhook-endpoints/{endpoint}/rotate-secret")
    key.post("/v1/callbacks/rotate-secret")

    [rotated] = actions(operator, endpoint)
    [of_callbacks] = actions(operator, rotated["actor"].removeprefix("key:"))

    assert (rotated["action"], rotated["details"]) == ("webhook_secret.rotate", {})
    assert of_callbacks["action"] == "callback_secret.rotate"


def test_another_keys_endpoint_that_is_changed_or_deleted_is_recorded_and_ones_own_is_not(
    operator: Api, new_key: NewKey, sink: Sinks
) -> None:
    key = new_key("webhooks:write")
    url = sink.open().url
    endpoint = key.post("/v1/webhook-endpoints", {"url": url}).json()["id"]
    path, elsewhere = f"/v1/webhook-endpoints/{endpoint}", f"{url}/elsewhere"
    assert key.send("PATCH", path, json={"description": "ours"}).status_code == 200
    assert actions(operator, endpoint) == []

    assert operator.send("PATCH", path, json={"url": elsewhere, "enabled": False}).status_code == 200
    assert [operator.send("DELETE", path).status_code for _ in range(2)] == [204, 404]

    deleted, updated = actions(operator, endpoint)
    assert (updated["action"], updated["details"]) == (
        "webhook_endpoint.update",
        {"url": elsewhere, "enabled": False},
    )
    assert (deleted["action"], deleted["details"]) == ("webhook_endpoint.delete", {})
    assert {one["actor"].partition(":")[0] for one in (updated, deleted)} == {"key"}


def test_an_endpoint_that_is_deleted_by_its_own_key_is_nobodys_action(
    operator: Api, new_key: NewKey, sink: Sinks
) -> None:
    key = new_key("webhooks:write")
    endpoint = key.post("/v1/webhook-endpoints", {"url": sink.open().url}).json()["id"]
    assert key.send("DELETE", f"/v1/webhook-endpoints/{endpoint}").status_code == 204
    assert actions(operator, endpoint) == []


def test_somebody_elses_job_that_is_canceled_is_recorded_and_ones_own_is_not(
    stack: Stack, operator: Api, ann: Customer, new_key: NewKey
) -> None:
    maker = new_key("deposits:write")
    stack.hold("worker-transactions")
    try:
        own, others = (maker.post("/v1/deposits", deposit(ann.wallet_id)).json()["id"] for _ in range(2))
        assert maker.post(f"/v1/jobs/{own}/cancel").status_code == 200
        assert operator.post(f"/v1/jobs/{others}/cancel").status_code == 200
    finally:
        stack.release("worker-transactions")

    assert actions(operator, own) == []
    assert [one["action"] for one in actions(operator, others)] == ["job.cancel"]


@pytest.mark.parametrize(
    "query",
    [
        {"action": "wallet.melt"},
        *({"object": one} for one in ("x" * 101, "", "\0", "a b", "é")),
        {"limit": "0"},
        {"cursor": "?"},
    ],
)
def test_a_filter_that_matches_nothing_is_refused(operator: Api, query: dict[str, str]) -> None:
    body = problem(operator.get("/v1/audit/actions", query), 400, "invalid_request")
    assert [one["field"] for one in body["errors"]] == list(query)
