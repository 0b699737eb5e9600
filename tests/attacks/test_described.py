"""What the description allows and what it does not, from an operator, a customer and nobody: no answer is a surprise.

SEED draws other data, as each night does, and EXAMPLES=1000 asks each operation so often. Without it each run is the
same: a change that is tested does not fail by chance for what was there before it.
"""

import os
from typing import Any

import pytest
import schemathesis
import schemathesis.checks
import schemathesis.specs.openapi.checks as described_checks
from hypothesis import HealthCheck, seed, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode

import api.openapi
from local.stack import Stack
from tests.api.clients import Api, Customer
from tests.api.conftest import NewKey

EXAMPLES = int(os.environ.get("EXAMPLES", "3"))  # For each operation, caller and kind of data; the first is the least.
SEED = int(os.environ.get("SEED") or 1)
CHECKS = [
    schemathesis.checks.not_a_server_error,
    described_checks.status_code_conformance,
    described_checks.content_type_conformance,
    described_checks.response_headers_conformance,
    described_checks.response_schema_conformance,
    described_checks.negative_data_rejection,
    described_checks.missing_required_header,
    described_checks.unsupported_method,
    described_checks.ignored_auth,
    described_checks.use_after_free,
    described_checks.ensure_resource_availability,
]
# Those that the tool has and that are not made here.
NOT_MADE = {
    "positive_data_acceptance": "cursors, currencies, idempotency keys and callers have rules that no schema can say",
    "allow_header_conformance": "it looks at answers to OPTIONS, which is no operation of ours",
    "object_level_authorization": "test_object_access.py asks for each object of each other caller",
}
OUTSIDE = {"url", "callback_url"}  # Nobody on the Internet is to hear of our tests.
HOUSE = "http://localhost:9/"  # Where nobody listens.


def described(mode: GenerationMode) -> Any:
    # Whose wallet it is may be asked before the Idempotency-Key.
    checks = {"missing_required_header": {"expected-statuses": [400, 401, 403, 404]}}
    config = SchemathesisConfig.from_dict({"generation": {"mode": mode.value}, "checks": checks})
    return schemathesis.openapi.from_dict(api.openapi.document(), config=config)


good, bad = (described(mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE))
exhaustive = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False
)


@pytest.fixture(scope="module")
def callers(ann: Customer, anyone: Api, new_key: NewKey) -> dict[str, Api]:
    return {"operator": new_key("*"), "customer": ann.api, "nobody": anyone}


def test_each_check_of_the_tool_is_made_or_has_its_reason() -> None:
    known = {check.__name__ for check in schemathesis.checks.CHECKS.get_all()}
    assert {check.__name__ for check in CHECKS} == known - NOT_MADE.keys()


@good.parametrize()  # type: ignore[untyped-decorator] # the library has no types
@pytest.mark.parametrize("caller", ["operator", "customer", "nobody"])
@seed(SEED)
@exhaustive
def test_what_is_allowed_is_answered_as_described(
    case: schemathesis.Case[Any], stack: Stack, callers: dict[str, Api], caller: str
) -> None:
    ask(case, stack, callers[caller])


@bad.parametrize()  # type: ignore[untyped-decorator] # the library has no types
@pytest.mark.parametrize("caller", ["operator", "customer", "nobody"])
@seed(SEED)
@exhaustive
def test_what_is_not_allowed_is_refused_as_described(
    case: schemathesis.Case[Any], stack: Stack, callers: dict[str, Api], caller: str
) -> None:
    # A parameter without a value is not sent, and what is left is allowed.
    case.query = {name: [""] if value == [] else value for name, value in (case.query or {}).items()}
    ask(case, stack, callers[caller])


def ask(case: schemathesis.Case[Any], stack: Stack, caller: Api) -> None:
    if isinstance(case.body, dict):
        case.body = case.body | {name: HOUSE for name in OUTSIDE & case.body.keys() if isinstance(case.body[name], str)}
    try:
        case.call_and_validate(base_url=stack.api_url, headers=caller.headers, checks=CHECKS)
    except BaseException as error:
        error.add_note(f"SEED={SEED}")
        raise
