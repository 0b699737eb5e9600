"""Counting: every answer once, by method, route and status."""

import re
from uuid import UUID

import pytest

from tests.api.clients import Api, Customer

COUNTER = re.compile(
    r'^tekana_http_requests_total\{method="(\w+)",route="([^"]*)",status="(\d+)"\} ([\d.]+)$', re.MULTILINE
)


def counts(anyone: Api) -> dict[tuple[str, str, str], float]:
    found = COUNTER.findall(anyone.get("/metrics").text)
    return {(method, route, status): float(count) for method, route, status, count in found}


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/health/live", "/health/live", "200"),
        ("GET", "/v1/wallets", "/v1/wallets", "401"),
        ("GET", "/v1/no/such/path", "unknown", "404"),
        ("PUT", "/v1/wallets", "/v1/wallets", "405"),
        ("DELETE", f"/v1/jobs/{UUID(int=1)}/", "/v1/jobs/{job_id}", "405"),
        ("GET", f"/v1/jobs/{UUID(int=1)}", "/v1/jobs/{job_id}", "401"),
    ],
)
def test_an_answer_is_counted_once_under_its_route(
    anyone: Api, *, method: str, path: str, route: str, status: str
) -> None:
    before = counts(anyone).get((method, route, status), 0)

    anyone.send(method, path)

    assert counts(anyone)[method, route, status] == before + 1


def test_ids_of_objects_do_not_become_routes(anyone: Api, ann: Customer) -> None:
    ann.api.get(f"/v1/wallets/{ann.wallet_id}")

    routes = {route for _, route, _ in counts(anyone)}

    assert not [route for route in routes if ann.wallet_id in route]
    assert len(routes) < 60


def test_a_method_that_a_client_invents_does_not_become_a_label(anyone: Api) -> None:
    assert anyone.send("BREW", "/v1/wallets").status_code == 400

    assert "BREW" not in {method for method, _, _ in counts(anyone)}


def test_every_answer_carries_one_request_id(anyone: Api, ann: Customer) -> None:
    answers = [
        anyone.get("/health/live"),
        anyone.get("/v1/nothing"),
        anyone.send("PUT", "/v1/wallets"),
        anyone.post("/v1/auth/login", b" " * 70_000),
        ann.api.get("/v1/wallets"),
    ]

    ids = [answer.headers.get_list("x-request-id") for answer in answers]
    assert [len(one) for one in ids] == [1] * len(answers)
    assert len({one[0] for one in ids}) == len(answers)
