"""What the documentation promises: complete, true, checked in, and readable without any other host."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import schemathesis
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

import api.docs
import api.openapi
from api.app import create_litestar
from api.bodies import decode
from api.errors import PROBLEM
from api.examples import EXAMPLES
from domain.jobs import Job
from tests.api.clients import Api

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs" / "openapi.json"
OTHER_HOST = re.compile(r"""(?:src|href|url|import|fetch)\b[\s=("']+(?:https?:)?//""", re.IGNORECASE)

Operation = dict[str, Any]


def documented() -> dict[str, Any]:
    return api.openapi.document()


def operations() -> dict[str, Operation]:
    """Return the operations by their ids."""
    return {one["operationId"]: one for item in documented()["paths"].values() for one in item.values()}


def handlers() -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Yield path, method and handler of every route but those of the documentation itself."""
    own = {handler.handler_name for handler in api.docs.ROUTES}
    for route in create_litestar().routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            for method in handler.http_methods - {"OPTIONS"}:
                if handler.handler_name not in own:
                    yield route.path_format, method.lower(), handler


HANDLERS = {handler.handler_name: handler for _, _, handler in handlers()}
BODIES = {name: handler.parsed_data_field.annotation for name, handler in HANDLERS.items() if handler.parsed_data_field}

JSON_ANSWERS = [name for name, example in EXAMPLES.items() if not isinstance(example.answer, str | None)]


def answer_type(name: str) -> Any:
    annotation = HANDLERS[name].parsed_return_field.annotation
    return next(iter(get_args(annotation)), annotation) if "Response" in str(annotation) else annotation


QUEUING = {name for name, one in HANDLERS.items() if one.status_code == 202 and answer_type(name) is Job}


def successes(operation: Operation) -> dict[str, Any]:
    return {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}


def test_the_checked_in_description_is_the_generated_one() -> None:
    assert FILE.read_bytes() == api.openapi.rendered(), "docs/openapi.json is of another version: run `make docs`"


def test_the_description_is_valid_openapi_3_1() -> None:
    document = documented()
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()


def test_the_check_of_the_description_finds_a_mistake() -> None:
    document = msgspec.json.decode(api.openapi.rendered())
    del document["paths"]["/v1/transfers"]["post"]["responses"]["202"]["description"]
    with pytest.raises(ValueError, match="description"):
        schemathesis.openapi.from_dict(document).validate()


def test_every_route_is_described_and_nothing_else_is() -> None:
    routes = {(path, method) for path, method, _ in handlers()}
    assert {(path, method) for path, item in documented()["paths"].items() for method in item} == routes


def test_an_operation_is_named_like_its_handler() -> None:
    assert operations().keys() == HANDLERS.keys()


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_an_operation_asks_for_a_token_unless_it_is_for_anyone(name: str) -> None:
    needs_token = {} not in operations()[name]["security"] and operations()[name]["security"] != []
    assert needs_token is not HANDLERS[name].opt["access"].anyone


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_an_operation_has_examples(name: str) -> None:
    operation = operations()[name]
    sent = operation.get("requestBody", {}).get("content", {}).values()
    got = [content for answer in successes(operation).values() for content in answer.get("content", {}).values()]
    assert all(content["example"] for content in [*sent, *got])
    assert got or "204" in operation["responses"]


@pytest.mark.parametrize("name", sorted(BODIES))
def test_an_example_of_a_request_would_be_accepted(name: str) -> None:
    assert decode(msgspec.json.encode(EXAMPLES[name].request), BODIES[name])


@pytest.mark.parametrize("name", sorted(JSON_ANSWERS))
def test_an_example_of_an_answer_is_what_the_handler_returns(name: str) -> None:
    assert msgspec.convert(msgspec.to_builtins(EXAMPLES[name].answer), answer_type(name))


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_an_error_is_a_problem_document(name: str) -> None:
    answers = documented()["components"]["responses"]
    errors = [one["$ref"].rpartition("/")[2] for one in operations()[name]["responses"].values() if "$ref" in one]
    assert all(list(answers[error]["content"]) == [PROBLEM] for error in errors)


@pytest.mark.parametrize("name", sorted(BODIES))
def test_a_request_body_refuses_unknown_fields(name: str) -> None:
    schema = documented()["components"]["schemas"][BODIES[name].__name__]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("name", ["CreateDeposit", "CreateWithdrawal", "CreateTransfer"])
def test_an_amount_is_an_integer_within_bounds(name: str) -> None:
    fields = documented()["components"]["schemas"][name]["properties"]
    bounds = {"type": "integer", "minimum": 1, "maximum": 10**15}
    assert fields["amount"] | bounds == fields["amount"]
    assert fields["currency"]["pattern"] == "^[A-Z]{3}$"


@pytest.mark.parametrize("name", sorted(QUEUING))
def test_a_post_that_queues_a_job_says_how(name: str) -> None:
    operation = operations()[name]
    parameters = [one["$ref"].rpartition("/")[2] for one in operation["parameters"] if "$ref" in one]
    assert parameters == ["Idempotency-Key", "Prefer"]
    assert {"Location", "Retry-After", "Idempotency-Hit"} <= set(operation["responses"]["202"]["headers"])
    assert {"Location", "ETag", "Preference-Applied"} <= set(operation["responses"]["200"]["headers"])


def test_the_api_serves_the_description(anyone: Api) -> None:
    response = anyone.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.content == api.openapi.rendered()


def test_the_page_loads_nothing_from_another_host(anyone: Api) -> None:
    page = anyone.get("/docs")
    addresses = re.findall(r"""(?:src|href)="([^"]*)""", page.text)
    policy = page.headers["content-security-policy"]
    assert addresses
    assert all(address.startswith("/") and not address.startswith("//") for address in addresses)
    assert re.findall(r"https?:|\*|unsafe", policy) == []


def test_the_page_has_no_inline_script_or_style(anyone: Api) -> None:
    page = anyone.get("/docs").text
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)


@pytest.mark.parametrize("name", sorted(api.docs.ASSETS))
def test_an_asset_comes_from_here_and_stays_in_caches(anyone: Api, name: str) -> None:
    address = next(one for one in re.findall(r'"(/docs/assets/[^"]+)"', anyone.get("/docs").text) if name in one)
    response = anyone.get(address)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(api.docs.ASSETS[name])
    assert "immutable" in response.headers["cache-control"]


@pytest.mark.parametrize("name", ["swagger-ui.css", "start.js", "page.css", "page.html"])
def test_no_text_of_the_page_names_another_host(name: str) -> None:
    assert not OTHER_HOST.search((api.docs.FOLDER / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", ["/docs/assets/page.html", "/docs/assets/LICENSE", "/docs/assets/..%2fdocs.py"])
def test_only_assets_are_served_as_assets(anyone: Api, path: str) -> None:
    assert anyone.get(path).status_code == 404


def test_the_type_of_a_problem_leads_to_its_explanation(anyone: Api) -> None:
    problem = anyone.get("/v1/customers/me").json()
    page, _, code = problem["type"].partition("#")
    assert page == "/docs"
    assert f'id="{code}"' in anyone.get(page).text


@pytest.mark.parametrize("code", ["bad_request", "request_timeout", "header_too_large"])
def test_the_page_explains_what_is_refused_before_any_route(anyone: Api, code: str) -> None:
    assert f'id="{code}"' in anyone.get("/docs").text
