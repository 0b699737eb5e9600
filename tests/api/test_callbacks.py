"""Callbacks: one address that is told of one job's end, signed with the secret of the API key that made the job."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from local.stack import Stack
from tests.api.clients import Api, Customer, Integrator, deposit, problem, registration, transfer
from tests.api.conftest import NewKey
from tests.api.listeners import DELIVERIES
from tests.sinks import Sinks, until

POSTS = ("/v1/customers", "/v1/wallets", "/v1/deposits", "/v1/withdrawals", "/v1/transfers")
WRITES = ("customers:write", "wallets:write", "deposits:write", "withdrawals:write", "transactions:write")

Body = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def integrator(new_integrator: Callable[..., Integrator]) -> Integrator:
    return new_integrator(*WRITES, "webhooks:read", "webhooks:write")


@pytest.fixture(scope="module")
def body(ann: Customer, bob: Customer) -> Body:
    """Make a body that the route of this path accepts from an API key."""

    def make(path: str) -> dict[str, Any]:
        bodies: dict[str, dict[str, Any]] = {
            "/v1/customers": registration(),
            "/v1/wallets": {"currency": "RWF", "customer_id": ann.id},
            "/v1/deposits": deposit(ann.wallet_id),
            "/v1/withdrawals": deposit(ann.wallet_id),
            "/v1/transfers": transfer(ann.wallet_id, bob.wallet_id),
        }
        return bodies[path]

    return make


def refusal(response: httpx2.Response) -> str:
    """Return the sentence of a 400 that names callback_url and nothing else."""
    [error] = problem(response, 400, "invalid_request")["errors"]
    assert error["field"] == "callback_url"
    return str(error["message"])


@pytest.mark.parametrize("path", POSTS)
def test_every_post_that_makes_a_job_may_name_who_is_told_of_its_end(
    integrator: Integrator, body: Body, sink: Sinks, path: str
) -> None:
    inbox, other = sink.open(), sink.open()
    job = integrator.api.finished(path, body(path) | {"callback_url": inbox.url})
    integrator.api.finished(path, body(path) | {"callback_url": other.url})

    message = inbox.of_job(job["id"])

    assert message.data_text == integrator.api.get(f"/v1/jobs/{job['id']}").content
    assert message.is_signed_by(integrator.callback_secret)
    assert job["state"] == "succeeded"
    other.wait()
    assert (len(inbox.messages), len(other.messages)) == (1, 1)


@pytest.mark.parametrize(
    ("path", "changes", "event_type"),
    [
        ("/v1/deposits", {"currency": "USD"}, "deposit.rejected"),
        ("/v1/withdrawals", {"amount": 10**15}, "withdrawal.rejected"),
        ("/v1/transfers", {"amount": 10**15}, "transfer.rejected"),
        ("/v1/wallets", {"customer_id": "00000000-0000-7000-8000-000000000000"}, "job.rejected"),
    ],
)
def test_a_rejection_is_told_too(
    integrator: Integrator, body: Body, sink: Sinks, *, path: str, changes: dict[str, Any], event_type: str
) -> None:
    inbox = sink.open()
    job = integrator.api.finished(path, body(path) | changes | {"callback_url": inbox.url})

    message = inbox.of_job(job["id"])

    assert (job["state"], message.event["type"]) == ("rejected", event_type)
    assert message.data_text == integrator.api.get(f"/v1/jobs/{job['id']}").content


def test_a_job_that_is_taken_back_is_told_too(integrator: Integrator, body: Body, sink: Sinks, stack: Stack) -> None:
    inbox = sink.open()
    stack.hold("worker-transactions")
    try:
        asked = body("/v1/deposits") | {"callback_url": inbox.url}
        job = integrator.api.post("/v1/deposits", asked).json()
        canceled = integrator.api.post(f"/v1/jobs/{job['id']}/cancel")
        message = inbox.of_job(job["id"])
    finally:
        stack.release("worker-transactions")

    assert message.event["type"] == "deposit.canceled"
    assert message.data_text == canceled.content == integrator.api.get(f"/v1/jobs/{job['id']}").content


def test_the_same_request_twice_is_one_job_and_one_message(integrator: Integrator, body: Body, sink: Sinks) -> None:
    inbox, key = sink.open(), str(uuid4())
    asked = body("/v1/deposits") | {"callback_url": inbox.url}

    first, second = (integrator.api.finished("/v1/deposits", asked, key=key) for _ in range(2))

    inbox.of_job(first["id"])
    last = integrator.api.finished("/v1/deposits", body("/v1/deposits") | {"callback_url": inbox.url})
    inbox.of_job(last["id"])
    assert first == second
    assert [one.event["data"]["id"] for one in inbox.messages] == [first["id"], last["id"]]


def test_a_callback_stands_in_the_log_and_is_sent_again_when_asked_for(
    integrator: Integrator, body: Body, sink: Sinks
) -> None:
    inbox, api = sink.open(), integrator.api
    job = api.finished("/v1/deposits", body("/v1/deposits") | {"callback_url": inbox.url})
    once = inbox.of_job(job["id"])
    [delivery] = until(
        lambda: api.get(DELIVERIES, limit=1, state="succeeded").json()["items"],
        lambda items: [one["callback_url"] for one in items] == [inbox.url],
    )

    again = api.post(f"{DELIVERIES}/{delivery['id']}/redeliver")

    assert (delivery["callback_url"], delivery["endpoint_id"]) == (inbox.url, None)
    assert (delivery["event_id"], delivery["event_type"]) == (once.id, "deposit.succeeded")
    assert (again.status_code, again.json()["callback_url"]) == (202, inbox.url)
    assert {(one.id, one.body) for one in inbox.wait(2)} == {(once.id, once.body)}


def test_after_a_rotation_callbacks_are_signed_by_both_secrets(
    new_integrator: Callable[..., Integrator], body: Body, sink: Sinks
) -> None:
    inbox, integrator = sink.open(), new_integrator("deposits:write")
    new = integrator.api.post("/v1/callbacks/rotate-secret").json()["secret"]

    job = integrator.api.finished("/v1/deposits", body("/v1/deposits") | {"callback_url": inbox.url})

    message = inbox.of_job(job["id"])
    assert (message.is_signed_by(new), message.is_signed_by(integrator.callback_secret)) == (True, True)


@pytest.mark.parametrize("path", ["/v1/wallets", "/v1/withdrawals", "/v1/transfers"])
def test_customers_have_no_callbacks(ann: Customer, body: Body, sink: Sinks, path: str) -> None:
    inbox = sink.open()

    message = refusal(ann.api.post(path, body(path) | {"callback_url": inbox.url}))

    assert "only with an API key" in message
    assert inbox.messages == []


def test_strangers_have_no_callbacks(anyone: Api, new_key: NewKey, sink: Sinks) -> None:
    """Neither has a key that may not register, and so does it as anyone may."""
    for caller in (anyone, new_key("deposits:write", "customers:read")):
        answer = caller.post("/v1/customers", registration(callback_url=sink.open().url))

        assert "only with an API key" in refusal(answer)


def test_a_key_without_a_secret_is_told_how_to_get_one(new_key: NewKey, body: Body, sink: Sinks) -> None:
    key, inbox = new_key("deposits:write"), sink.open()
    asked = body("/v1/deposits") | {"callback_url": inbox.url}

    message = refusal(key.post("/v1/deposits", asked))
    secret = key.post("/v1/callbacks/rotate-secret").json()["secret"]
    job = key.finished("/v1/deposits", asked)

    assert "POST /v1/callbacks/rotate-secret" in message
    assert inbox.of_job(job["id"]).is_signed_by(secret)


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://hooks.example.com/", "begins with https://"),
        ("https://10.0.0.1/", "private"),
        ("https://169.254.169.254/", "link_local"),
        ("https://hooks/", "public name"),
        ("https://user@hooks.example.com/", "no user"),
        ("", "length >= 1"),
        ("https://example.com/" + "a" * 2_048, "length <= 2048"),
        (5, "got int"),
        (["https://example.com/"], "got array"),
    ],
    ids=lambda value: str(value)[:32],
)
def test_a_callback_url_that_breaks_a_rule_is_refused_with_the_rule(
    integrator: Integrator, body: Body, *, path: str, url: object, rule: str
) -> None:
    assert rule in refusal(integrator.api.post(path, body(path) | {"callback_url": url}))


def test_a_refused_callback_url_does_not_consume_the_key(integrator: Integrator, body: Body) -> None:
    key, asked = str(uuid4()), body("/v1/deposits")

    refused = integrator.api.post("/v1/deposits", asked | {"callback_url": "https://hooks/"}, key=key)
    accepted = integrator.api.post("/v1/deposits", asked, key=key)

    assert (refused.status_code, accepted.status_code) == (400, 202)
    assert "idempotency-hit" not in accepted.headers


def test_without_a_callback_null_says_the_same_as_nothing(integrator: Integrator, body: Body) -> None:
    key, asked = str(uuid4()), body("/v1/deposits")

    answers = [integrator.api.post("/v1/deposits", one, key=key) for one in (asked, asked | {"callback_url": None})]

    assert [one.headers.get("idempotency-hit") for one in answers] == [None, "true"]


@pytest.mark.parametrize("path", POSTS)
def test_a_key_stands_for_one_callback_url(integrator: Integrator, body: Body, sink: Sinks, path: str) -> None:
    key, inbox, asked = str(uuid4()), sink.open(), body(path)
    first = integrator.api.post(path, asked | {"callback_url": inbox.url}, key=key)

    same = integrator.api.post(path, asked | {"callback_url": inbox.url}, key=key)
    other = integrator.api.post(path, asked | {"callback_url": f"{inbox.url}/other"}, key=key)
    none = integrator.api.post(path, asked, key=key)

    assert (same.json()["id"], same.headers["idempotency-hit"]) == (first.json()["id"], "true")
    problem(other, 422, "idempotency_key_reused")
    problem(none, 422, "idempotency_key_reused")
