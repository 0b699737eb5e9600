"""Jobs that have ended, and how their end is learned. Jobs that wait stand in test_queued_jobs.py."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx2
import msgspec
import pytest

from tests.api.clients import Api, Customer, deposit, fields, is_uuid7, problem, registration, transfer

TIMESTAMP = "%Y-%m-%dT%H:%M:%S.%fZ"


@pytest.fixture(scope="module")
def done(ann: Customer, bob: Customer) -> dict[str, Any]:
    """Return a job of Ann's that succeeded."""
    return ann.api.finished("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id))


@pytest.fixture(scope="module")
def registered(anyone: Api) -> dict[str, Any]:
    """Return a stranger's registration that succeeded."""
    return anyone.finished("/v1/customers", registration())


def events(response: httpx2.Response) -> list[dict[str, str]]:
    """Return what a stream said, event by event."""
    blocks = response.text.replace("\r\n", "\n").strip().split("\n\n")
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks if block]


@pytest.mark.parametrize("path", ["/v1/wallets", "/v1/deposits", "/v1/withdrawals", "/v1/transfers", "/v1/customers"])
def test_every_post_is_accepted_as_a_job(operator: Api, ann: Customer, bob: Customer, path: str) -> None:
    bodies = {
        "/v1/wallets": {"currency": "RWF", "customer_id": ann.id},
        "/v1/deposits": deposit(ann.wallet_id),
        "/v1/withdrawals": deposit(ann.wallet_id),
        "/v1/transfers": transfer(ann.wallet_id, bob.wallet_id),
        "/v1/customers": registration(),
    }

    response = operator.post(path, bodies[path])

    job = response.json()
    assert (response.status_code, response.headers["retry-after"]) == (202, "1")
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert operator.get(response.headers["location"]).json()["id"] == job["id"]


def test_an_accepted_job_has_the_fields_of_the_contract(operator: Api, ann: Customer) -> None:
    job = operator.post("/v1/deposits", deposit(ann.wallet_id)).json()

    assert is_uuid7(job.pop("id"))
    assert datetime.strptime(job.pop("created_at"), TIMESTAMP)  # noqa: DTZ007 - compared with each other - the Z is in the format
    assert job == {"kind": "deposit.create", "state": "queued", "finished_at": None, "result": None, "error": None}


def test_a_finished_job_says_when_and_with_what(done: dict[str, Any]) -> None:
    times = [datetime.strptime(done[name], TIMESTAMP) for name in ("created_at", "finished_at")]  # noqa: DTZ007 - compared with each other

    assert times == sorted(times)
    assert done.keys() == {"id", "kind", "state", "created_at", "finished_at", "result", "error"}
    assert (done["state"], done["error"]) == ("succeeded", None)


def test_a_post_that_waits_gets_the_finished_job(operator: Api, ann: Customer) -> None:
    response = operator.post("/v1/deposits", deposit(ann.wallet_id), headers={"Prefer": "wait=10"})

    assert (response.status_code, response.headers["preference-applied"]) == (200, "wait=10")
    assert response.json()["state"] == "succeeded"
    assert response.headers["etag"] == operator.get(response.headers["location"]).headers["etag"]


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=1", "wait=1"),
        ("wait=30", "wait=30"),
        ("WAIT=5", "wait=5"),
        ("respond-async, wait=5", "wait=5"),
        ("wait=5; strict", "wait=5"),
        ("wait=31", "wait=30"),
        ("wait=999999", "wait=30"),
        ("wait=0", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=ten", None),
        ("wait", None),
        ("await=5", None),
        ("return=minimal", None),
        ("", None),
    ],
)
def test_a_wait_of_1_to_30_seconds_is_applied(ann: Customer, done: dict[str, Any], prefer: str, applied: str) -> None:
    response = ann.api.get(f"/v1/jobs/{done['id']}", headers={"Prefer": prefer})

    assert (response.status_code, response.json()) == (200, done)
    assert response.headers.get("preference-applied") == applied


def test_a_field_that_is_a_list_may_come_in_several_lines(ann: Customer, done: dict[str, Any]) -> None:
    address, token = f"/v1/jobs/{done['id']}", ("Authorization", ann.api.headers["Authorization"])
    tag = ann.api.get(address).headers["etag"]
    lines = [token, ("Prefer", "respond-async"), ("Prefer", "wait=5"), ("If-None-Match", '"x"'), ("If-None-Match", tag)]

    response = ann.api.http.get(address, headers=lines)

    assert (response.status_code, response.headers.get("preference-applied")) == (304, "wait=5")


def test_a_finished_job_carries_a_tag(ann: Customer, done: dict[str, Any]) -> None:
    first, second = (ann.api.get(f"/v1/jobs/{done['id']}") for _ in range(2))

    assert first.headers["etag"] == second.headers["etag"]
    assert first.headers["etag"].startswith('"')
    assert "no-store" not in first.headers["cache-control"]


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"other", {tag}', 304),
        ("*", 304),
        ('"other"', 200),
        ("", 200),
    ],
)
def test_a_client_that_knows_the_job_is_not_told_again(
    ann: Customer, done: dict[str, Any], known: str, status: int
) -> None:
    tag = ann.api.get(f"/v1/jobs/{done['id']}").headers["etag"]

    response = ann.api.get(f"/v1/jobs/{done['id']}", headers={"If-None-Match": known.format(tag=tag)})

    assert (response.status_code, response.headers["etag"]) == (status, tag)
    assert bool(response.content) == (status == 200)


def test_two_jobs_have_two_tags(ann: Customer, done: dict[str, Any]) -> None:
    other = ann.api.finished("/v1/withdrawals", deposit(ann.wallet_id))

    tags = {ann.api.get(f"/v1/jobs/{job['id']}").headers["etag"] for job in (done, other)}

    assert len(tags) == 2


def test_a_finished_job_is_not_canceled(ann: Customer, done: dict[str, Any]) -> None:
    problem(ann.api.post(f"/v1/jobs/{done['id']}/cancel"), 409, "job_finished")

    assert ann.api.get(f"/v1/jobs/{done['id']}").json() == done


def test_cancel_needs_no_body_and_no_key(ann: Customer, done: dict[str, Any]) -> None:
    problem(ann.api.send("POST", f"/v1/jobs/{done['id']}/cancel"), 409, "job_finished")


def test_an_unknown_job_is_not_there(ann: Customer) -> None:
    for path in (f"/v1/jobs/{uuid4()}", f"/v1/jobs/{uuid4()}/events", "/v1/jobs/job"):
        problem(ann.api.get(path), 404, "not_found")


def test_anyone_reads_a_registration_by_its_id(anyone: Api, registered: dict[str, Any]) -> None:
    path = f"/v1/jobs/{registered['id']}"

    assert anyone.get(path).json() == registered
    assert anyone.get(path, headers={"Prefer": "wait=5"}).json() == registered
    assert msgspec.json.decode(events(anyone.get(f"{path}/events"))[0]["data"]) == registered


def test_anyone_cancels_no_registration(anyone: Api, registered: dict[str, Any]) -> None:
    problem(anyone.post(f"/v1/jobs/{registered['id']}/cancel"), 401, "unauthenticated")


def test_nobody_reads_another_job_without_credentials(anyone: Api, done: dict[str, Any]) -> None:
    for path in (f"/v1/jobs/{done['id']}", f"/v1/jobs/{done['id']}/events", f"/v1/jobs/{uuid4()}"):
        problem(anyone.get(path), 401, "unauthenticated")


def test_a_stream_of_a_finished_job_says_so_and_ends(ann: Customer, done: dict[str, Any]) -> None:
    response = ann.api.get(f"/v1/jobs/{done['id']}/events")

    [event] = events(response)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert (event["event"], event["id"]) == ("job", "succeeded")
    assert msgspec.json.decode(event["data"]) == done


def test_a_client_that_saw_the_end_is_not_told_again(ann: Customer, done: dict[str, Any]) -> None:
    response = ann.api.get(f"/v1/jobs/{done['id']}/events", headers={"Last-Event-ID": "succeeded"})

    assert (response.status_code, events(response)) == (204, [])  # Which ends an EventSource for good.


def test_jobs_are_listed_newest_first(ann: Customer) -> None:
    made = [ann.api.finished("/v1/withdrawals", deposit(ann.wallet_id)) for _ in range(3)]

    assert ann.api.get("/v1/jobs", limit=3).json()["items"] == made[::-1]


def test_jobs_are_filtered_by_state_and_kind(ann: Customer) -> None:
    rejected = ann.api.finished("/v1/withdrawals", deposit(ann.wallet_id, 10**15))
    opened = ann.api.finished("/v1/wallets", {"currency": "RWF"})

    def newest(**query: str) -> dict[str, Any]:
        items: list[dict[str, Any]] = ann.api.get("/v1/jobs", query).json()["items"]
        return items[0]

    assert newest(state="rejected") == rejected
    assert newest(state="succeeded") == newest(kind="wallet.open") == opened
    assert newest(state="rejected", kind="withdrawal.create") == rejected
    assert ann.api.get("/v1/jobs", state="rejected", kind="wallet.open").json()["items"] == []


@pytest.mark.parametrize(
    ("query", "field"), [({"state": "done"}, "state"), ({"state": ""}, "state"), ({"kind": "transfer"}, "kind")]
)
def test_a_malformed_filter_is_named(ann: Customer, query: dict[str, str], field: str) -> None:
    assert fields(ann.api.get("/v1/jobs", query)) == [field]
