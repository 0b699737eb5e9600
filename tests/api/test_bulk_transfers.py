"""Many transfers as one job: what becomes of each, whose they may be, and where it is told."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.api.clients import Api, Customer, Integrator, fields, is_uuid7, problem, transfer
from tests.api.conftest import NewKey, Sql
from tests.sinks import Sinks

PATH = "/v1/transfers/bulk"

NewCustomer = Callable[..., Customer]


def bulk(*items: dict[str, Any], mode: str = "independent", **more: Any) -> dict[str, Any]:
    return {"mode": mode, "items": list(items), **more}


def balances(*customers: Customer) -> list[int]:
    return [one.api.get(f"/v1/wallets/{one.wallet_id}").json()["balance"] for one in customers]


@pytest.fixture
def pair(new_customer: NewCustomer) -> tuple[Customer, Customer]:
    """Two customers, with 1,000 and nothing."""
    return new_customer(1_000), new_customer()


def test_each_item_ends_by_itself_in_its_order(pair: tuple[Customer, Customer]) -> None:
    ann, bob = pair
    number = {"source_wallet_id": ann.wallet_id, "destination_number": bob.wallet_number, "amount": 900}
    items = [
        number | {"currency": "RWF", "description": "Wage", "metadata": {"month": "11"}},
        transfer(ann.wallet_id, bob.wallet_id, 101),
        transfer(ann.wallet_id, bob.wallet_id, 100),
    ]
    job = ann.api.finished(PATH, bulk(*items))
    assert (job["kind"], job["state"]) == ("bulk_transfer.create", "succeeded")
    assert job["progress"] == {"done": 3, "total": 3}
    first, second, third = job["result"].pop("items")
    assert job["result"] == {"succeeded": 2, "rejected": 1}
    assert {one["index"]: one["state"] for one in (first, second, third)} == {
        0: "succeeded",
        1: "rejected",
        2: "succeeded",
    }
    assert second["error"]["code"] == "insufficient_funds"
    assert balances(ann, bob) == [0, 1_000]
    assert is_uuid7(third["transaction_id"])
    posted = bob.api.get(f"/v1/transactions/{first['transaction_id']}").json()
    assert (posted["job_id"], posted["description"], posted["metadata"]) == (job["id"], "Wage", {"month": "11"})
    listed = ann.api.get("/v1/transactions", kind="transfer").json()["items"]
    assert [(one["id"], one["job_id"]) for one in listed] == [
        (one["transaction_id"], job["id"]) for one in (third, first)
    ]
    statement = bob.api.get(f"/v1/wallets/{bob.wallet_id}/entries").json()["items"]
    assert [(one["transaction_id"], one["balance_after"]) for one in statement] == [
        (third["transaction_id"], 1_000),
        (first["transaction_id"], 900),
    ]


def test_all_or_nothing_stops_at_the_first_rejection(pair: tuple[Customer, Customer]) -> None:
    ann, bob = pair
    items = [transfer(ann.wallet_id, bob.wallet_id, amount) for amount in (600, 400, 1)]
    job = ann.api.finished(PATH, bulk(*items, mode="all_or_nothing"))
    assert (job["state"], job["result"], job["progress"]) == ("rejected", None, {"done": 0, "total": 3})
    assert (job["error"]["code"], job["error"]["index"]) == ("insufficient_funds", 2)
    assert balances(ann, bob) == [1_000, 0]
    job = ann.api.finished(PATH, bulk(*items[:2], mode="all_or_nothing"))
    assert (job["state"], job["result"]["succeeded"], balances(ann, bob)) == ("succeeded", 2, [0, 1_000])


def test_an_item_may_spend_what_an_earlier_one_brought(operator: Api, pair: tuple[Customer, Customer]) -> None:
    ann, bob = pair
    there, back = transfer(ann.wallet_id, bob.wallet_id, 1_000), transfer(bob.wallet_id, ann.wallet_id, 1_000)
    assert operator.succeeded(PATH, bulk(there, back, there, mode="all_or_nothing"))["succeeded"] == 3
    result = operator.succeeded(PATH, bulk(there, back))
    assert [one["state"] for one in result["items"]] == ["rejected", "succeeded"]


def test_one_key_is_one_bulk(pair: tuple[Customer, Customer]) -> None:
    ann, bob = pair
    body = bulk(transfer(ann.wallet_id, bob.wallet_id, 10))
    first, again = (ann.api.post(PATH, body, key="wages") for _ in range(2))
    assert (first.status_code, first.json()["progress"]) == (202, {"done": 0, "total": 1})
    assert again.headers["Idempotency-Hit"] == "true"
    assert again.json()["id"] == first.json()["id"]
    problem(ann.api.post(PATH, bulk(*body["items"] * 2), key="wages"), 422, "idempotency_key_reused")
    problem(ann.api.post("/v1/transfers", body["items"][0], key="wages"), 422, "idempotency_key_reused")
    problem(ann.api.send("POST", PATH, json=body), 400, "idempotency_key_missing")
    wrong = bulk(body["items"][0], body["items"][0] | {"amount": "10"})
    assert fields(ann.api.post(PATH, wrong)) == ["items[1].amount"]


def test_a_source_that_is_somebody_elses_is_not_found_by_its_item(
    pair: tuple[Customer, Customer], anyone: Api, new_key: NewKey
) -> None:
    ann, bob = pair
    own, others = transfer(ann.wallet_id, bob.wallet_id), transfer(bob.wallet_id, ann.wallet_id)
    for foreign in (others, transfer(str(uuid4()), bob.wallet_id)):
        body = problem(ann.api.post(PATH, bulk(own, own, foreign, foreign)), 404, "not_found")
        assert body["detail"].startswith("items[2].source_wallet_id: ")
        assert [one["field"] for one in body["errors"]] == ["items[2].source_wallet_id"]
    problem(anyone.post(PATH, bulk(own)), 401, "unauthenticated")
    problem(new_key("transactions:read").post(PATH, bulk(own)), 403, "forbidden")
    assert balances(ann, bob) == [1_000, 0]


def test_a_thousand_items_are_one_job_and_briefly_told(
    operator: Api, pair: tuple[Customer, Customer], sql: Sql
) -> None:
    ann, bob = pair
    job = ann.api.finished(PATH, bulk(*[transfer(ann.wallet_id, bob.wallet_id)] * 1_000))
    assert (job["result"]["succeeded"], len(job["result"]["items"])) == (1_000, 1_000)
    assert balances(ann, bob) == [0, 1_000]
    whole = ann.api.get(f"/v1/jobs/{job['id']}")
    assert whole.json() == job
    assert ann.api.get(f"/v1/jobs/{job['id']}", headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    [listed] = ann.api.get("/v1/jobs", kind="bulk_transfer.create").json()["items"]
    assert listed == job | {"result": {"succeeded": 1_000, "rejected": 0}}
    [event] = sql("SELECT id, type FROM events WHERE job_id = :job", job=UUID(job["id"]))
    told = operator.get(f"/v1/events/{event['id']}").json()
    assert (told["type"], told["data"], told["sequences"]) == ("bulk_transfer.succeeded", listed, [])


def test_a_receiver_hears_of_a_bulk_once_and_briefly(
    new_integrator: Callable[..., Integrator], sink: Sinks, pair: tuple[Customer, Customer]
) -> None:
    ann, bob = pair
    key = new_integrator("transactions:write")
    inbox = sink.open()
    body = bulk(*[transfer(ann.wallet_id, bob.wallet_id)] * 200, callback_url=inbox.url)
    job = key.api.finished(PATH, body)
    [message] = inbox.wait()
    assert message.is_signed_by(key.callback_secret)
    assert message.event["data"] == job | {"result": {"succeeded": 200, "rejected": 0}}
