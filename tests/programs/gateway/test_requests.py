"""What nginx lets through, what it keeps, and what it does when a process behind it is gone."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec
import pytest

import api.bulk_bodies
from api.bodies import BODY_MAX_BYTES
from tests.programs.gateway.nginx import Nginx
from tests.programs.gateway.upstreams import HEAD_WAIT_SECONDS, STREAM_SECONDS, Upstream, listening
from tests.workers.certificates import Authority

USER, PASSWORD = "operator", "only-for-this-test"
KEY = {"Idempotency-Key": "one"}
QUEUED = (
    "/v1/customers",
    "/v1/wallets",
    "/v1/deposits",
    "/v1/withdrawals",
    "/v1/transfers",
    "/v1/transfers/bulk",
    "/v1/webhook-endpoints/1/replay",
)
NOT_QUEUED = (
    "/v1/auth/login",
    "/v1/auth/refresh",
    "/v1/webhook-endpoints",
    "/v1/webhook-endpoints/1/rotate-secret",
    "/v1/jobs/1/cancel",
    "/v1/customers/me",
)


@pytest.fixture
def apis() -> Iterator[list[Upstream]]:
    with listening() as one, listening() as other:
        yield [one, other]


@pytest.fixture
def flower() -> Iterator[Upstream]:
    with listening() as upstream:
        yield upstream


@pytest.fixture
def nginx(apis: list[Upstream], flower: Upstream, tmp_path: Path) -> Iterator[Nginx]:
    with Nginx(tmp_path, (apis[0].port, apis[1].port), flower.port) as nginx:
        nginx.admit_to_flower(USER, PASSWORD)
        yield nginx


@pytest.fixture
def http(nginx: Nginx) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=nginx.url, trust_env=False, timeout=30) as client:
        yield client


def seen_by(apis: list[Upstream]) -> list[str]:
    return [f"{one.method} {one.path}" for upstream in apis for one in upstream.seen]


def test_a_request_id_that_can_do_no_harm_is_kept(http: httpx2.Client, apis: list[Upstream]) -> None:
    http.get("/v1/jobs", headers={"X-Request-ID": "abc-DEF_1.2:3"})
    assert _request_ids(apis) == ["abc-DEF_1.2:3"]


@pytest.mark.parametrize("claimed", ["", "a b", '"},{"', "x" * 129])
def test_any_other_request_id_is_replaced(http: httpx2.Client, apis: list[Upstream], claimed: str) -> None:
    http.get("/v1/jobs", headers={"X-Request-ID": claimed})
    [given] = _request_ids(apis)
    assert given != claimed
    assert re.fullmatch(r"[0-9a-f]{32}", given)


@pytest.mark.parametrize("claim", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Proto"])
def test_what_a_client_says_of_its_address_is_dropped(http: httpx2.Client, apis: list[Upstream], claim: str) -> None:
    http.get("/v1/jobs", headers={claim: "10.9.9.9"})
    [seen] = [*apis[0].seen, *apis[1].seen]
    assert (seen.headers["x-forwarded-for"], seen.headers["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert "10.9.9.9" not in seen.headers.values()


@pytest.mark.parametrize("header", ["traceparent", "tracestate", "Traceparent"])
def test_a_stranger_does_not_decide_what_is_traced(http: httpx2.Client, apis: list[Upstream], header: str) -> None:
    http.get("/v1/jobs", headers={header: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    [seen] = [*apis[0].seen, *apis[1].seen]
    assert header.lower() not in seen.headers


@pytest.mark.parametrize(
    ("path", "most"), [("/v1/transfers", BODY_MAX_BYTES), ("/v1/transfers/bulk", api.bulk_bodies.BODY_MAX_BYTES)]
)
def test_a_body_of_the_apis_limit_passes_and_a_larger_one_is_refused_as_the_api_does(
    http: httpx2.Client, apis: list[Upstream], path: str, most: int
) -> None:
    assert http.post(path, content=b"x" * most, headers=KEY).status_code == 200
    refused = http.post(path, content=b"x" * (most + 1), headers=KEY)
    _problem(refused, 413, "too_large")
    assert [one.size for upstream in apis for one in upstream.seen] == [most]


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/metrics/",
        "//metrics",
        "/%6detrics",
        "/v1/../metrics",
        "/health/live",
        "/health/ready",
        "/health",
        "/./health/ready",
    ],
)
def test_what_is_for_probes_and_scrapers_is_not_to_be_had(
    nginx: Nginx, http: httpx2.Client, apis: list[Upstream], path: str
) -> None:
    del nginx
    raw = httpx2.URL(str(http.base_url)).copy_with(raw_path=path.encode())
    _problem(http.get(raw), 404, "not_found")
    assert seen_by(apis) == []


def test_a_flood_from_one_address_is_told_to_come_back(http: httpx2.Client) -> None:
    answers = [http.post("/v1/auth/login") for _ in range(100)]
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    _problem(refused, 429, "rate_limited")
    assert refused.headers["retry-after"] == "1"


def test_a_process_that_is_gone_is_left_out(http: httpx2.Client, apis: list[Upstream]) -> None:
    apis[0].close()
    assert {http.post(path).status_code for path in [*QUEUED, *NOT_QUEUED] * 3} == {200}
    assert len(apis[1].seen) == 3 * len([*QUEUED, *NOT_QUEUED])


def test_a_process_that_has_just_come_back_takes_over_from_one_that_goes(
    http: httpx2.Client, apis: list[Upstream]
) -> None:
    apis[0].close()
    assert {http.get("/v1/jobs").status_code for _ in range(20)} == {200}
    returned = Upstream(apis[0].port)
    apis[1].close()
    assert {http.get("/v1/jobs").status_code for _ in range(20)} == {200}
    returned.close()


@pytest.mark.parametrize("path", QUEUED)
def test_a_post_with_an_idempotency_key_whose_connection_broke_goes_to_the_other_process(
    http: httpx2.Client, apis: list[Upstream], path: str
) -> None:
    apis[0].breaks = True
    assert {http.post(path, headers=KEY).status_code for _ in range(4)} == {200}
    assert len(apis[0].seen) > 0
    assert {one.headers["idempotency-key"] for one in apis[1].seen} == {"one"}


@pytest.mark.parametrize("path", NOT_QUEUED)
def test_any_other_post_is_sent_once_and_its_client_decides(
    http: httpx2.Client, apis: list[Upstream], path: str
) -> None:
    apis[0].breaks = apis[1].breaks = True
    refused = http.post(path)
    _problem(refused, 503, "unavailable")
    assert refused.headers["retry-after"] == "1"
    assert seen_by(apis) == [f"POST {path}"]


def test_reading_goes_to_the_other_process(http: httpx2.Client, apis: list[Upstream]) -> None:
    apis[0].breaks = True
    assert {http.get("/v1/customers/me").status_code for _ in range(4)} == {200}


def test_a_request_that_was_read_and_takes_its_time_is_not_repeated(http: httpx2.Client, apis: list[Upstream]) -> None:
    began_at = time.monotonic()
    assert http.post("/v1/transfers/slow", headers=KEY).status_code == 200
    assert time.monotonic() - began_at >= HEAD_WAIT_SECONDS
    assert seen_by(apis) == ["POST /v1/transfers/slow"]


def test_without_any_process_the_answer_is_the_apis_own_503(http: httpx2.Client, apis: list[Upstream]) -> None:
    for upstream in apis:
        upstream.close()
    for path in ("/v1/transfers", "/v1/auth/login"):
        refused = http.post(path, headers=KEY)
        _problem(refused, 503, "unavailable")
        assert refused.headers["retry-after"] == "1"


def test_an_event_leaves_as_soon_as_it_comes(http: httpx2.Client) -> None:
    began_at = time.monotonic()
    with http.stream("GET", "/v1/jobs/1/events") as answer:
        assert next(answer.iter_bytes()) == b"data: first\n\n"
        assert time.monotonic() - began_at < STREAM_SECONDS / 2


@pytest.mark.parametrize(
    ("credentials", "status"),
    [(None, 401), ((USER, "wrong"), 401), (("nobody", PASSWORD), 401), ((USER, PASSWORD), 200)],
)
def test_flower_is_behind_a_name_and_a_password(
    http: httpx2.Client, flower: Upstream, credentials: tuple[str, str] | None, status: int
) -> None:
    for path in ("/flower/", "/flower/metrics", "/flower/healthcheck"):
        assert http.get(path, auth=credentials).status_code == status
    assert len(flower.seen) == (3 if status == 200 else 0)


def test_flower_is_told_the_name_and_the_password_as_well(http: httpx2.Client, flower: Upstream) -> None:
    http.get("/flower/", auth=(USER, PASSWORD))
    assert flower.seen[0].headers["authorization"].startswith("Basic ")
    assert http.get("/flower").headers["location"].endswith("/flower/")


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, "default-src 'none'; frame-ancestors 'none'"),
        ({"Content-Security-Policy": "default-src 'self'"}, "default-src 'self'"),
    ],
)
def test_an_answer_has_each_header_of_protection_once(
    http: httpx2.Client, apis: list[Upstream], own: dict[str, str], expected: str
) -> None:
    for upstream in apis:
        upstream.headers = own | {"X-Content-Type-Options": "nosniff"}
    headers = http.get("/docs").headers
    assert headers.get_list("content-security-policy") == [expected]
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers.get_list("referrer-policy") == ["no-referrer"]
    assert "strict-transport-security" not in headers


def test_the_log_says_who_asked_for_what_and_nothing_of_the_query(nginx: Nginx, http: httpx2.Client) -> None:
    http.get("/v1/customers?email=ann@example.com", headers={"X-Request-ID": "told"})
    nginx.stop()
    [line] = [msgspec.json.decode(line) for line in nginx.log.read_bytes().splitlines()]
    nginx.start()
    assert (line["request_id"], line["client"], line["status"]) == ("told", "127.0.0.1", 200)
    assert line["path"] == "/v1/customers"


def test_with_tls_everything_is_encrypted(apis: list[Upstream], flower: Upstream, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.serving("127.0.0.1")
    nginx = Nginx(tmp_path / "nginx", (apis[0].port, apis[1].port), flower.port, entry="tls")
    [pem] = tmp_path.glob("*.pem")
    for name in ("tls.crt", "tls.key"):
        (nginx.folder / "tls" / name).write_bytes(pem.read_bytes())
    with nginx, httpx2.Client(verify=authority.trusting(), trust_env=False) as client:
        encrypted = client.get(f"https://127.0.0.1:{nginx.tls_port}/v1/jobs")
        assert encrypted.headers["strict-transport-security"] == "max-age=31536000"
        assert apis[0].seen[0].headers["x-forwarded-proto"] == "https"
        moved = client.post(f"{nginx.url}/v1/transfers?a=b")
        assert (moved.status_code, moved.headers["location"]) == (308, "https://127.0.0.1/v1/transfers?a=b")


def _request_ids(apis: list[Upstream]) -> list[str]:
    return [one.headers["x-request-id"] for upstream in apis for one in upstream.seen]


def _problem(answer: httpx2.Response, status: int, code: str) -> None:
    """Expect a problem as the API's own are."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == answer.headers["x-request-id"]
