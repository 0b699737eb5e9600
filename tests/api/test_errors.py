"""Every error is a problem document (RFC 9457), and none says more than a client may know."""

import asyncio
from typing import Any

import msgspec
import pytest
from litestar import Litestar, get
from litestar.types import Message, Receive, Scope, Send

import api.errors
from api.errors import ApiError, to_problem
from api.observed import Observed
from tests.api.clients import Api, Customer, deposit, problem


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/wallets/1", 404, "not_found"),
        ("GET", "/v1/wallets/%00", 404, "not_found"),
        ("GET", "/v1/../etc/passwd", 404, "not_found"),
        ("POST", "/v2/deposits", 404, "not_found"),
        ("PUT", "/v1/wallets", 405, "method_not_allowed"),
        ("DELETE", "/v1/customers/me", 405, "method_not_allowed"),
        ("PATCH", "/v1/jobs", 405, "method_not_allowed"),
        ("GET", "/v1/deposits", 405, "method_not_allowed"),
        ("GET", "/v1/wallets", 401, "unauthenticated"),
    ],
)
def test_an_error_is_a_problem_document(anyone: Api, *, method: str, path: str, status: int, code: str) -> None:
    response = anyone.send(method, path)

    body = problem(response, status, code)
    assert (body["type"], body["instance"]) == (f"/docs#{code}", response.request.url.path)
    assert response.headers["cache-control"] == "no-store"


def test_a_method_that_is_not_allowed_says_which_are(anyone: Api) -> None:
    allowed = anyone.send("PUT", "/v1/wallets").headers["allow"]

    assert {"GET", "POST"} <= set(allowed.split(", "))


def test_only_a_refused_field_makes_a_list_of_errors(operator: Api, anyone: Api) -> None:
    invalid = problem(operator.get("/v1/wallets", limit="0"), 400, "invalid_request")
    unknown = problem(anyone.get("/v1/nothing"), 404, "not_found")

    assert [error.keys() for error in invalid["errors"]] == [{"field", "message"}]
    assert "errors" not in unknown


def test_every_bad_parameter_is_named_as_the_client_knows_it(operator: Api) -> None:
    query = {"limit": "0", "from": "x", "to": "y", "kind": "z", "wallet_id": "w"}

    body = problem(operator.get("/v1/transactions", query), 400, "invalid_request")

    assert {error["field"] for error in body["errors"]} == set(query)


@pytest.mark.parametrize("given", ["abc", "A-Z.a_z:0-9", "0192f0c1-2345-7000-8000-000000000001", "x" * 128])
def test_a_sane_request_id_is_echoed(anyone: Api, ann: Customer, given: str) -> None:
    headers = {"X-Request-Id": given}
    answers = [
        anyone.get("/health/live", headers=headers),
        anyone.get("/v1/nothing", headers=headers),
        ann.api.post("/v1/withdrawals", deposit(ann.wallet_id), headers=headers),
    ]

    assert {answer.headers["x-request-id"] for answer in answers} == {given}


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "é", "<script>", "a\tb", "{}", "a;b"])
def test_a_request_id_that_is_not_sane_is_replaced(anyone: Api, given: str) -> None:
    first, second = (anyone.get("/health/live", headers={"X-Request-Id": given.encode()}) for _ in range(2))

    ids = [answer.headers["x-request-id"] for answer in (first, second)]
    assert given not in ids
    assert len(set(ids)) == 2


@get("/broken", sync_to_thread=False)
def broken() -> None:
    raise RuntimeError("password of the database: hunter2")


async def ask(app: Any, path: str) -> tuple[int, bytes]:
    """Call an ASGI application as a server does."""
    scope: Scope = {  # type: ignore[assignment] # a scope of what is read
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
    }
    sent: list[Message] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    awaited: tuple[Receive, Send] = (receive, send)
    await app(scope, *awaited)
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return next(message["status"] for message in sent if message["type"] == "http.response.start"), body


def test_what_nobody_expected_is_a_500_that_tells_nothing() -> None:
    logged: list[int] = []
    litestar = Litestar([broken], exception_handlers={Exception: to_problem}, openapi_config=None)
    app = Observed(litestar, litestar, lambda _, status, __: logged.append(status))

    status, body = asyncio.run(ask(app, "/broken"))

    said = msgspec.json.decode(body)
    assert (status, said["code"], logged) == (500, "internal_error", [500])
    assert said["request_id"] in body.decode()
    assert b"hunter2" not in body


def kinds(of: type[ApiError]) -> list[type[ApiError]]:
    return [of, *(one for kind in of.__subclasses__() for one in kinds(kind))]


@pytest.mark.parametrize("kind", kinds(ApiError), ids=lambda kind: kind.__name__)
def test_every_error_has_a_sentence_and_stands_in_the_modules_tree(kind: type[ApiError]) -> None:
    assert (kind.__doc__ or "").strip().endswith(".")
    assert kind.__name__ in (api.errors.__doc__ or "")


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in kinds(ApiError)]

    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("host", ["a: x=1", "' OR '1'='1", "[", "a:99999999", "\u00ff"])
def test_a_host_that_is_none_is_no_error_of_ours(anyone: Api, host: str) -> None:
    answer = anyone.http.get("/v1/nowhere", headers=[(b"Host", host.encode("latin-1"))])
    assert answer.status_code in {400, 404}, answer.text
    assert answer.json()["instance"] == "/v1/nowhere"
