"""The short way: what it answers is what Litestar's own way, which a body in chunks takes, answers."""

import http.client
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx2
import pytest

from tests.api.clients import Api, Customer

KEY = {"Idempotency-Key": "one"}
JSON = {"Content-Type": "application/json"}
BODY = b'{"source_wallet_id":"%s","destination_wallet_id":"%s","amount":1,"currency":"RWF"}'
WALLETS = (str(UUID(int=1)).encode(), str(UUID(int=2)).encode())
PASSING = BODY % WALLETS


def short(caller: Api, body: bytes, headers: dict[str, str]) -> httpx2.Response:
    return caller.send("POST", "/v1/transfers", content=body, headers=headers)


def long(caller: Api, body: bytes, headers: dict[str, str]) -> httpx2.Response:
    def chunks() -> Iterator[bytes]:
        yield body

    return caller.send("POST", "/v1/transfers", content=chunks(), headers=headers)


def seen(answer: httpx2.Response) -> tuple[Any, ...]:
    """Return what a client can tell answers apart by, without what differs between any two."""
    body = {name: value for name, value in answer.json().items() if name not in {"request_id", "id", "created_at"}}
    names = sorted(name for name in answer.headers if name != "date")
    return answer.status_code, body, names, answer.headers["content-type"]


def test_a_size_without_end_is_refused_by_the_server(anyone: Api) -> None:
    url = anyone.http.base_url
    connection = http.client.HTTPConnection(url.host, url.port, timeout=10)

    connection.request("POST", "/v1/transfers", headers=JSON | {"Content-Length": "9" * 5_000})

    assert connection.getresponse().status in {400, 401, 413}
    connection.close()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(PASSING, JSON | KEY, id="not theirs"),
        pytest.param(PASSING, JSON, id="no idempotency key"),
        pytest.param(PASSING, KEY, id="no media type"),
        pytest.param(PASSING, KEY | {"Content-Type": "Application/JSON; charset=utf-8"}, id="parameters"),
        pytest.param(PASSING, KEY | {"Content-Type": "text/plain"}, id="another media type"),
        pytest.param(PASSING, KEY | JSON | {"Authorization": "Bearer none"}, id="bad token"),
        pytest.param(PASSING, KEY | JSON | {"Authorization": "Basic x"}, id="another scheme"),
        pytest.param(b"{", JSON | KEY, id="no JSON"),
        pytest.param(b"[]", JSON | KEY, id="a list"),
        pytest.param(PASSING.replace(b"1,", b'"1",'), JSON | KEY, id="text for a number"),
        pytest.param(PASSING.replace(b"amount", b"amounts"), JSON | KEY, id="unknown field"),
        pytest.param(PASSING.replace(b"RWF", b"XXX"), JSON | KEY, id="unknown currency"),
        pytest.param(PASSING.replace(b"{", b'{"amount":2,'), JSON | KEY, id="a key twice"),
        pytest.param(PASSING.replace(b"}", b',"description":"\\u0000"}'), JSON | KEY, id="NUL"),
    ],
)
def test_a_refusal_is_the_same_on_both_ways(ann: Customer, body: bytes, headers: dict[str, str]) -> None:
    assert seen(short(ann.api, body, headers)) == seen(long(ann.api, body, headers))


def test_an_accepted_job_is_the_same_on_both_ways(ann: Customer, bob: Customer) -> None:
    body = BODY % (ann.wallet_id.encode(), bob.wallet_id.encode())

    first = short(ann.api, body, JSON | {"Idempotency-Key": "short"})
    second = long(ann.api, body, JSON | {"Idempotency-Key": "long"})

    assert first.status_code == 202
    assert seen(first) == seen(second)


def test_a_key_that_went_one_way_is_known_on_the_other(ann: Customer, bob: Customer) -> None:
    body = BODY % (ann.wallet_id.encode(), bob.wallet_id.encode())
    headers = JSON | {"Idempotency-Key": "both"}

    first, second = short(ann.api, body, headers), long(ann.api, body, headers)

    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotency-hit"] == "true"


def test_two_keys_in_one_request_are_none(ann: Customer, bob: Customer) -> None:
    body = BODY % (ann.wallet_id.encode(), bob.wallet_id.encode())
    headers = [*JSON.items(), *ann.api.headers.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]

    answer = ann.api.http.post("/v1/transfers", content=body, headers=headers)

    assert answer.json()["code"] == "idempotency_key_missing"


def test_another_method_is_refused_by_its_route(anyone: Api) -> None:
    answer = anyone.send("PUT", "/v1/transfers", content=b"{}", headers=JSON)

    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]
