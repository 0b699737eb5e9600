"""Jobs while no worker is there to settle them: accepted, durable, and waiting."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx2
import msgspec
import pytest

from local.stack import Stack
from tests.api.clients import Api, Customer, deposit, problem, transfer
from tests.api.conftest import Sql

SLACK_SECONDS = 10.0  # Whoever was not told when to stop would wait for half a minute.


@pytest.fixture(autouse=True)
def held(stack: Stack, ann: Customer, bob: Customer) -> Iterator[threading.Event]:
    """Keep the worker that moves money away, until a test asks for it by setting the event."""
    del ann, bob
    stack.hold("worker-transactions")
    wanted, over = threading.Event(), threading.Event()

    def release() -> None:
        wanted.wait()
        stack.release("worker-transactions")
        over.set()

    threading.Thread(target=release, daemon=True).start()
    yield wanted
    wanted.set()
    over.wait()


@pytest.fixture
def queued(ann: Customer, bob: Customer) -> dict[str, Any]:
    response = ann.api.post("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id))
    assert response.status_code == 202
    job: dict[str, Any] = response.json()
    return job


def test_a_job_is_accepted_and_there(ann: Customer, queued: dict[str, Any], sql: Sql) -> None:
    response = ann.api.get(f"/v1/jobs/{queued['id']}")

    assert (response.status_code, response.json()) == (200, queued)
    assert (response.headers["retry-after"], response.headers["cache-control"]) == ("1", "no-store")
    assert "etag" not in response.headers
    assert sql("SELECT state FROM jobs WHERE id = CAST(:id AS uuid)", id=queued["id"]) == [{"state": "queued"}]


def test_a_post_that_waits_in_vain_gets_202_after_the_wait(ann: Customer) -> None:
    started = time.monotonic()

    response = ann.api.post("/v1/withdrawals", deposit(ann.wallet_id), headers={"Prefer": "wait=1"})

    assert 1 <= time.monotonic() - started < 1 + SLACK_SECONDS
    assert (response.status_code, response.json()["state"]) == (202, "queued")
    assert (response.headers["preference-applied"], response.headers["retry-after"]) == ("wait=1", "1")
    assert response.headers["location"] == f"/v1/jobs/{response.json()['id']}"


def test_a_read_that_waits_in_vain_gets_200_after_the_wait(ann: Customer, queued: dict[str, Any]) -> None:
    started = time.monotonic()

    response = ann.api.get(f"/v1/jobs/{queued['id']}", headers={"Prefer": "wait=1"})

    assert 1 <= time.monotonic() - started < 1 + SLACK_SECONDS
    assert (response.status_code, response.json()) == (200, queued)
    assert response.headers["preference-applied"] == "wait=1"


def test_everybody_who_waits_is_told_when_the_job_ends(
    ann: Customer, queued: dict[str, Any], held: threading.Event
) -> None:
    def wait(_: int) -> httpx2.Response:
        return ann.api.get(f"/v1/jobs/{queued['id']}", headers={"Prefer": "wait=20"})

    with ThreadPoolExecutor(4) as pool:
        waiting: list[Future[httpx2.Response]] = [pool.submit(wait, number) for number in range(4)]
        held.set()
        answers = [one.result() for one in waiting]

    assert {answer.json()["state"] for answer in answers} == {"succeeded"}
    assert len({answer.headers["etag"] for answer in answers}) == 1


def test_a_queued_job_is_canceled_and_nothing_moves(
    ann: Customer, operator: Api, queued: dict[str, Any], held: threading.Event
) -> None:
    before = ann.api.get(f"/v1/wallets/{ann.wallet_id}").json()

    response = ann.api.post(f"/v1/jobs/{queued['id']}/cancel")

    canceled = response.json()
    assert response.status_code == 200
    assert canceled | {"finished_at": None} == queued | {"state": "canceled"}
    assert canceled["finished_at"] is not None
    problem(ann.api.post(f"/v1/jobs/{queued['id']}/cancel"), 409, "job_finished")
    held.set()
    operator.succeeded("/v1/deposits", deposit(ann.wallet_id, 1))  # Settled after it, had it still been there.
    assert ann.api.get(f"/v1/jobs/{queued['id']}").json() == canceled
    assert ann.api.get(f"/v1/wallets/{ann.wallet_id}").json()["balance"] == before["balance"] + 1


def test_an_operator_cancels_anybodys_job(operator: Api, queued: dict[str, Any]) -> None:
    assert operator.post(f"/v1/jobs/{queued['id']}/cancel").json()["state"] == "canceled"


def test_somebody_else_cancels_nothing(ann: Customer, bob: Customer, queued: dict[str, Any]) -> None:
    problem(bob.api.post(f"/v1/jobs/{queued['id']}/cancel"), 404, "not_found")

    assert ann.api.get(f"/v1/jobs/{queued['id']}").json() == queued


def test_a_canceled_jobs_waiters_are_told(ann: Customer, queued: dict[str, Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ann.api.get, f"/v1/jobs/{queued['id']}", headers={"Prefer": "wait=15"})
        time.sleep(0.1)
        ann.api.post(f"/v1/jobs/{queued['id']}/cancel")

        assert waiting.result().json()["state"] == "canceled"


@pytest.mark.parametrize(("seen", "states"), [(None, ["queued", "succeeded"]), ("queued", ["succeeded"])])
def test_a_stream_says_what_is_and_what_becomes_of_it_and_ends(
    ann: Customer, queued: dict[str, Any], held: threading.Event, *, seen: str | None, states: list[str]
) -> None:
    headers = ann.api.headers | ({} if seen is None else {"Last-Event-ID": seen})
    told: list[str] = []

    with ann.api.http.stream("GET", f"/v1/jobs/{queued['id']}/events", headers=headers) as response:
        held.set()
        told.extend(line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: "))

    jobs = [msgspec.json.decode(line) for line in told]
    assert [job["state"] for job in jobs] == states
    assert {job["id"] for job in jobs} == {queued["id"]}
    assert jobs[-1] == ann.api.get(f"/v1/jobs/{queued['id']}").json()


def test_the_same_request_while_it_is_queued_waits_for_the_same_job(ann: Customer, held: threading.Event) -> None:
    first = ann.api.post("/v1/withdrawals", deposit(ann.wallet_id), key="queued-twice")
    held.set()

    second = ann.api.post("/v1/withdrawals", deposit(ann.wallet_id), key="queued-twice", headers={"Prefer": "wait=20"})

    assert (second.status_code, second.headers["idempotency-hit"]) == (200, "true")
    assert (second.json()["id"], second.json()["state"]) == (first.json()["id"], "succeeded")
