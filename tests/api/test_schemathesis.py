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
def ids(ann: Customer, bob: Customer) -> dict[str, Any]:
    """What paths may name: a customer, their wallet, and a transfer from it."""
    job = ann.api.finished("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id))
    transaction_id = job["result"]["transaction_id"]
    return {"customer_id": ann.id, "wallet_id": ann.wallet_id, "job_id": job["id"], "transaction_id": transaction_id}


@described.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_whatever_is_asked_the_answer_is_a_described_one(
    case: schemathesis.Case[Any], stack: Stack, operator: Api
) -> None:
    case.call_and_validate(base_url=stack.api_url, headers=operator.headers, checks=CHECKS)


@pytest.mark.parametrize(
    "path", sorted(path for path, item in api.openapi.document()["paths"].items() if "get" in item)
)
def test_what_is_there_is_answered_as_described(path: str, stack: Stack, ann: Customer, ids: dict[str, Any]) -> None:
    named = {name: value for name, value in ids.items() if f"{{{name}}}" in path}
    case = described[path]["GET"].Case(path_parameters=named)
    response = case.call_and_validate(base_url=stack.api_url, headers=ann.api.headers, checks=CHECKS)
    assert response.status_code == 200
