"""Every type of event has a schema: its example fits, and so do the events that really happen."""

from typing import Any

import jsonschema_rs
import pytest

from domain.events import EventType
from local.stack import Stack
from tests.api.clients import Api, Customer, deposit, registration, transfer
from tests.api.conftest import NewKey
from tests.api.listeners import Listener
from tests.sinks import Sinks, until

# Nothing in a healthy system makes these.
NEVER = {one for one in EventType if one.endswith(".failed")}

Description = dict[str, Any]


@pytest.fixture(scope="module")
def described(operator: Api) -> dict[str, Description]:
    """Return the types by their names."""
    page = operator.get("/v1/event-types").json()
    assert page["next_cursor"] is None
    return {one["type"]: one for one in page["items"]}


def validator(one: Description) -> Any:
    return jsonschema_rs.validator_for(one["schema"], validate_formats=True)


def test_every_type_is_described(described: dict[str, Description]) -> None:
    assert list(described) == list(EventType)
    assert all(one.keys() == {"type", "description", "schema", "example"} for one in described.values())
    assert all(one["description"].endswith(".") for one in described.values())


@pytest.mark.parametrize("name", EventType)
def test_an_example_fits_its_own_schema_and_no_other(described: dict[str, Description], name: str) -> None:
    one = described[name]

    assert [str(error) for error in validator(one).iter_errors(one["example"])] == []
    assert [other for other in described if validator(described[other]).is_valid(one["example"])] == [name]


@pytest.mark.parametrize("name", EventType)
def test_a_schema_needs_nothing_else_and_is_strict_about_what_is_there(
    described: dict[str, Description], name: str
) -> None:
    one = described[name]
    example: dict[str, Any] = one["example"]

    assert "$ref" not in str(one["schema"])
    for field in example:
        assert not validator(one).is_valid({key: value for key, value in example.items() if key != field})
    for field in example["data"].keys() - {"progress"}:
        data = {key: value for key, value in example["data"].items() if key != field}
        assert not validator(one).is_valid(example | {"data": data})
    assert not validator(one).is_valid(example | {"timestamp": "yesterday"})


@pytest.fixture(scope="module")
def happened(stack: Stack, new_key: NewKey, sink: Sinks, ann: Customer) -> list[dict[str, Any]]:
    """Let an event of each type happen that a healthy system has; return all that ever happened."""
    listener = Listener(new_key("*"), sink, ann)
    make_movements(listener.key, ann)
    listener.key.succeeded("/v1/wallets", {"currency": "RWF", "customer_id": ann.id})
    make_changes(listener.key)
    make_replays(listener)
    cancel_one_of_each(stack, listener, ann)
    events: list[dict[str, Any]] = until(
        lambda: everything(listener.key), lambda found: {one["type"] for one in found} >= set(EventType) - NEVER
    )
    listener.close()
    return events


def make_movements(key: Api, ann: Customer) -> None:
    """Let each kind of movement succeed, and be rejected."""
    other = key.succeeded("/v1/customers", registration())["wallet_id"]
    for currency in ("RWF", "USD"):
        for path in ("/v1/deposits", "/v1/withdrawals"):
            key.finished(path, deposit(ann.wallet_id, currency=currency))
        key.finished("/v1/transfers", transfer(ann.wallet_id, other, currency=currency))
        bulk = {"mode": "all_or_nothing", "items": [transfer(ann.wallet_id, other, currency=currency)]}
        key.finished("/v1/transfers/bulk", bulk)


def make_changes(key: Api) -> None:
    """Freeze, unfreeze and close a customer and their wallet."""
    made = key.succeeded("/v1/customers", registration())
    for path in (f"/v1/wallets/{made['wallet_id']}", f"/v1/customers/{made['customer_id']}"):
        for verb in ("freeze", "unfreeze", "close"):
            key.succeeded(f"{path}/{verb}", {})


def make_replays(listener: Listener) -> None:
    """Let a replay succeed, its endpoint be gone with a test, and the next replay be rejected."""
    made = listener.subscribe("webhook.test", replies=(410,))
    listener.key.succeeded(f"{made.path}/replay", {"from": "2020-01-01T00:00:00Z", "to": "2020-01-01T00:00:01Z"})
    listener.key.post(f"{made.path}/test")
    until(lambda: listener.key.get(made.path).json(), lambda one: not one["enabled"])
    assert listener.key.finished(f"{made.path}/replay", {"from": "2020-01-01T00:00:00Z"})["state"] == "rejected"


def cancel_one_of_each(stack: Stack, listener: Listener, ann: Customer) -> None:
    """Take jobs back while nobody is there to settle them."""
    made = listener.subscribe("webhook.test")
    asked: dict[str, Any] = {
        "/v1/deposits": deposit(ann.wallet_id),
        "/v1/withdrawals": deposit(ann.wallet_id),
        "/v1/transfers": transfer(ann.wallet_id, ann.wallet_id),
        "/v1/transfers/bulk": {"mode": "independent", "items": [transfer(ann.wallet_id, ann.wallet_id)]},
        f"{made.path}/replay": {"from": "2020-01-01T00:00:00Z"},
    }
    workers = ("worker-transactions", "worker-webhooks")
    for name in workers:
        stack.hold(name)
    try:
        jobs = [listener.key.post(path, body).json()["id"] for path, body in asked.items()]
        assert {listener.key.post(f"/v1/jobs/{one}/cancel").status_code for one in jobs} == {200}
    finally:
        for name in workers:
            stack.release(name)


def everything(caller: Api) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    query, has_more = {"limit": "200"}, True
    while has_more:
        feed = caller.get("/v1/events", query).json()
        events += feed["items"]
        has_more, query["after"] = feed["has_more"], feed["next_cursor"]
    return events


@pytest.mark.parametrize("name", [one for one in EventType if one not in NEVER])
def test_what_really_happens_fits_the_schema(
    described: dict[str, Description], happened: list[dict[str, Any]], name: str
) -> None:
    check, real = validator(described[name]), [one for one in happened if one["type"] == name]

    assert real
    assert [str(error) for one in real for error in check.iter_errors(one)] == []


def test_what_really_happens_has_a_type_that_is_described(
    described: dict[str, Description], happened: list[dict[str, Any]]
) -> None:
    assert {one["type"] for one in happened} <= described.keys()


@pytest.mark.parametrize("name", [EventType.ENDPOINT_DISABLED, EventType.WEBHOOK_TEST])
def test_the_data_of_a_webhooks_own_event_has_the_fields_of_its_example(
    described: dict[str, Description], happened: list[dict[str, Any]], name: str
) -> None:
    real = [one["data"].keys() for one in happened if one["type"] == name]

    assert all(keys == described[name]["example"]["data"].keys() for keys in real)
