"""Requests that the description allows, and ones that it does not: the running system keeps what it promises."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import api.openapi
from local.stack import Stack
from tests.api.clients import Api, Customer, transfer
from tests.api.conftest import NewKey
from tests.sinks import Sinks

EXAMPLES = 20  # For each of the operations: all of them together take 15 seconds.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

described = schemathesis.openapi.from_dict(api.openapi.document())


@pytest.fixture(scope="module")
def anybody(new_key: NewKey) -> Api:
    """Who may do everything, and of whom no other test makes use."""
    return new_key("*")


@pytest.fixture(scope="module")
def keeper(new_key: NewKey) -> Api:
    return new_key("*")


@pytest.fixture(scope="module")
def ids(ann: Customer, bob: Customer, keeper: Api, sink: Sinks) -> dict[str, Any]:
    """What paths may name: a customer, their wallet, a transfer from it, and an endpoint that was sent a test."""
    endpoint = keeper.post("/v1/webhook-endpoints", {"url": sink.open().url}).json()
    delivery = keeper.post(f"/v1/webhook-endpoints/{endpoint['id']}/test").json()
    kept = {"endpoint_id": endpoint["id"], "delivery_id": delivery["id"], "event_id": delivery["event_id"]}
    job = ann.api.finished("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id))
    transaction_id = job["result"]["transaction_id"]
    of_ann = {"customer_id": ann.id, "wallet_id": ann.wallet_id, "job_id": job["id"], "transaction_id": transaction_id}
    return of_ann | kept


@pytest.fixture
def callers(ann: Customer, keeper: Api) -> dict[str, Api]:
    """Who has something of each tag."""
    return {"wallets": ann.api, "webhooks": keeper, "audit": keeper}


@described.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_whatever_is_asked_the_answer_is_a_described_one(
    case: schemathesis.Case[Any], stack: Stack, anybody: Api
) -> None:
    if isinstance(case.body, dict) and "url" in case.body:
        case.body = case.body | {"enabled": False}  # Nobody on the Internet is to hear of our tests.
    case.call_and_validate(base_url=stack.api_url, headers=anybody.headers, checks=CHECKS)


@pytest.mark.parametrize(
    "path", sorted(path for path, item in api.openapi.document()["paths"].items() if "get" in item)
)
def test_what_is_there_is_answered_as_described(
    path: str, stack: Stack, callers: dict[str, Api], ids: dict[str, Any]
) -> None:
    [tag] = api.openapi.document()["paths"][path]["get"]["tags"]
    caller = callers.get(tag, callers["wallets"])
    named = {name: value for name, value in ids.items() if f"{{{name}}}" in path}
    case = described[path]["GET"].Case(path_parameters=named)
    response = case.call_and_validate(base_url=stack.api_url, headers=caller.headers, checks=CHECKS)
    assert response.status_code == 200
