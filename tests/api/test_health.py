"""What probes and scrapers see, also while a dependency is down."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from local import ports
from local.stack import Stack
from tests.absent import away
from tests.api.clients import Api, Customer, deposit, problem, registration
from tests.api.processes import serving


@pytest.fixture(scope="module")
def without_database(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API process whose database does not answer."""
    log: Path = tmp_path_factory.mktemp("log") / "api.log"
    nowhere = f"postgresql+psycopg://tekana_api:secret@127.0.0.1:{ports.free()}/tekana"
    with serving(stack.env, log, DATABASE_API_URL=nowhere) as api:
        yield api


@pytest.fixture(scope="module", params=("gone", "silent", "of another shape"))
def without_redis(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API process whose Redis does not answer, or is none."""
    log: Path = tmp_path_factory.mktemp("log") / "api.log"
    with away(request.param) as url, serving(stack.env, log, REDIS_URL=url) as api:
        yield api


def test_a_process_that_answers_is_alive(anyone: Api, without_database: Api, without_redis: Api) -> None:
    for api in (anyone, without_database, without_redis):
        response = api.get("/health/live")

        assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_a_process_with_all_it_needs_is_ready(anyone: Api) -> None:
    response = anyone.get("/health/ready")

    assert (response.status_code, response.json()) == (200, {"status": "ok", "postgres": "up", "redis": "up"})


def test_without_its_database_a_process_is_not_ready(without_database: Api) -> None:
    response = without_database.get("/health/ready")

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json() == {"status": "unavailable", "postgres": "down", "redis": "up"}


def test_without_redis_a_process_says_so(without_redis: Api) -> None:
    response = without_redis.get("/health/ready")

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json() == {"status": "unavailable", "postgres": "up", "redis": "down"}


def test_without_its_database_nothing_is_accepted(without_database: Api, operator: Api, ann: Customer) -> None:
    caller = without_database.holding(operator.token)
    answers = [
        without_database.post("/v1/customers", registration()),
        without_database.post("/v1/auth/login", {"email": "a@example.com", "password": "password"}),
        without_database.get(f"/v1/jobs/{uuid4()}"),
        caller.post("/v1/deposits", deposit(ann.wallet_id)),
        caller.get("/v1/wallets"),
    ]

    for answer in answers:
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"


def test_without_redis_jobs_are_accepted_and_end(without_redis: Api, operator: Api, ann: Customer) -> None:
    caller = without_redis.holding(operator.token)

    response = caller.post("/v1/deposits", deposit(ann.wallet_id))

    assert response.status_code == 202
    finished = caller.get(response.headers["location"], headers={"Prefer": "wait=20"}).json()
    assert finished["state"] == "succeeded"
    assert operator.get(response.headers["location"]).json() == finished


def test_without_its_database_a_process_still_tells_of_itself(without_database: Api) -> None:
    without_database.get("/health/live")

    response = without_database.get("/metrics")

    assert response.status_code == 200
    assert 'route="/health/live",status="200"' in response.text


def test_metrics_are_text_that_prometheus_reads(anyone: Api) -> None:
    response = anyone.get("/metrics")

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=1.0.0; charset=utf-8"


def test_metrics_name_routes_and_never_what_clients_send(anyone: Api, ann: Customer) -> None:
    ann.api.get(f"/v1/wallets/{ann.wallet_id}")
    anyone.get("/v1/nowhere-to-be-seen")

    text = anyone.get("/metrics").text

    assert 'route="/v1/wallets/{wallet_id}",status="200"' in text
    assert 'route="unknown",status="404"' in text
    assert ann.wallet_id not in text
    assert "nowhere-to-be-seen" not in text
