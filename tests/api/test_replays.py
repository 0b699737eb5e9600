"""Replays: events of the past are sent to an endpoint again, by a job that tells how far it has come."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from local.stack import Stack
from tests.api.clients import FINISH_SECONDS, Api, problem
from tests.api.conftest import NewKey
from tests.api.listeners import ENDPOINTS, Listener, Subscription
from tests.sinks import until

LONG_AGO = "2020-01-01T00:00:00Z"
NOBODY = str(UUID(int=0))


def ago(**time: float) -> str:
    """Return the moment that long ago, as a client writes it."""
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


def replay(listener: Listener, made: Subscription, /, **said: Any) -> dict[str, Any]:
    """Return the replay's job as it ended; without a word, of the last minute."""
    return listener.key.finished(f"{made.path}/replay", {"from": ago(minutes=1)} | said)


def test_what_happened_in_that_time_is_sent_again(listener: Listener) -> None:
    made = listener.subscribe()
    jobs = [listener.pay() for _ in range(3)]
    made.inbox.wait(3)
    until(lambda: listener.logged(state="succeeded"), lambda items: len(items) == 3)

    job = replay(listener, made)

    messages = made.inbox.wait(6)
    assert (job["kind"], job["state"]) == ("webhook.replay", "succeeded")
    assert job["result"]["deliveries"] == 3
    assert job["progress"] == {"done": job["result"]["events"], "total": job["result"]["events"]}
    assert sorted(one.id for one in messages) == sorted([one.id for one in messages[:3]] * 2)
    assert made.jobs == sorted([job["id"] for job in jobs] * 2)


def test_a_replay_is_a_job_that_its_key_reads_and_is_told_of(listener: Listener) -> None:
    made = listener.subscribe("job.succeeded")

    response = listener.key.post(f"{made.path}/replay", {"from": LONG_AGO})

    job = response.json()
    path = f"/v1/jobs/{job['id']}"
    assert (response.status_code, response.headers["location"], job["state"]) == (202, path, "queued")
    message = made.inbox.of_job(job["id"])
    assert message.event["type"] == "job.succeeded"
    assert message.data_text == listener.key.get(path).content
    assert [one["id"] for one in listener.key.get("/v1/jobs", kind="webhook.replay").json()["items"]] == [job["id"]]


def test_only_what_the_endpoint_subscribes_to_is_sent(listener: Listener) -> None:
    made = listener.subscribe("deposit.rejected")
    listener.pay()
    rejected = listener.pay(wallet_id=NOBODY)
    made.inbox.of_job(rejected["id"])
    until(lambda: listener.logged(state="succeeded"), lambda items: len(items) == 1)

    assert replay(listener, made)["result"]["deliveries"] == 1
    made.inbox.wait(2)
    assert made.jobs == [rejected["id"]] * 2


def test_only_what_happened_from_the_one_time_on_and_before_the_other_is_sent(listener: Listener) -> None:
    made = listener.subscribe()
    first, second, third = (listener.pay() for _ in range(3))
    made.inbox.wait(3)
    until(lambda: listener.logged(state="succeeded"), lambda items: len(items) == 3)

    job = replay(listener, made, **{"from": second["finished_at"], "to": third["finished_at"]})

    made.inbox.wait(4)
    assert job["result"]["deliveries"] == 1
    assert made.jobs == sorted([first["id"], second["id"], second["id"], third["id"]])


def test_only_what_never_arrived_is_sent_when_that_is_asked_for(listener: Listener) -> None:
    made = listener.subscribe()
    arrived = listener.pay()
    made.inbox.of_job(arrived["id"])
    until(lambda: listener.logged(state="succeeded"), lambda items: len(items) == 1)
    listener.key.patch(made.path, {"enabled": False})
    missed = listener.pay()
    listener.key.patch(made.path, {"enabled": True})

    job = replay(listener, made, only_failed=True)

    made.inbox.of_job(missed["id"])
    assert job["result"]["deliveries"] == 1
    assert made.jobs == [arrived["id"], missed["id"]]


def test_what_waits_anyway_is_not_sent_twice(listener: Listener) -> None:
    made = listener.subscribe(replies=(500,))
    listener.pay()
    listener.only(made)

    assert replay(listener, made)["result"]["deliveries"] == 0
    assert len(listener.logged()) == 1


def test_a_replay_goes_to_its_endpoint_alone(listener: Listener) -> None:
    made, other = listener.subscribe(), listener.subscribe()
    job = listener.pay()
    other.inbox.of_job(job["id"])
    until(lambda: listener.logged(state="succeeded"), lambda items: len(items) == 2)

    replay(listener, made)

    made.inbox.wait(2)
    assert other.jobs == [job["id"]]


def test_of_a_time_that_is_yet_to_come_there_is_nothing(listener: Listener) -> None:
    made = listener.subscribe()

    job = replay(listener, made, **{"from": "2999-01-01T00:00:00Z"})

    assert job["result"] == {"events": 0, "deliveries": 0}
    assert job["progress"] == {"done": 0, "total": 0}


def test_nothing_is_replayed_to_an_endpoint_that_is_off(listener: Listener) -> None:
    made = listener.subscribe()
    listener.key.patch(made.path, {"enabled": False})

    job = replay(listener, made)

    assert (job["state"], job["error"]["code"]) == ("rejected", "endpoint_disabled")


def test_a_replay_to_an_endpoint_that_is_removed_meanwhile_is_rejected(listener: Listener, stack: Stack) -> None:
    kept, removed = listener.subscribe("job.*"), listener.subscribe()
    stack.hold("worker-webhooks")
    try:
        queued = [listener.key.post(f"{one.path}/replay", {"from": LONG_AGO}).json() for one in (kept, removed)]
        canceled = listener.key.post(f"/v1/jobs/{queued[0]['id']}/cancel").json()
        listener.key.delete(removed.path)
    finally:
        stack.release("worker-webhooks")

    ended = listener.key.get(f"/v1/jobs/{queued[1]['id']}", headers={"Prefer": f"wait={FINISH_SECONDS}"}).json()
    assert (ended["state"], ended["error"]["code"]) == ("rejected", "endpoint_not_found")
    assert canceled["state"] == "canceled"
    assert kept.inbox.of_job(canceled["id"]).event["type"] == "job.canceled"


@pytest.fixture(scope="module")
def key(new_key: NewKey) -> Api:
    return new_key("webhooks:read", "webhooks:write")


@pytest.fixture(scope="module")
def path(key: Api) -> str:
    """Where to ask for a replay to an endpoint that is switched off: nothing is sent."""
    made = key.post(ENDPOINTS, {"url": "https://hooks.example.com/", "enabled": False}).json()
    return f"{ENDPOINTS}/{made['id']}/replay"


@pytest.mark.parametrize(
    ("said", "field", "rule"),
    [
        ({}, "from", "required"),
        ({"from": None}, "from", "got null"),
        ({"from": 0}, "from", "got int"),
        ({"from": "yesterday"}, "from", "RFC3339"),
        ({"from": ""}, "from", "RFC3339"),
        ({"from": "2026-11-23"}, "from", "RFC3339"),
        ({"from": "2026-02-30T00:00:00Z"}, "from", "RFC3339"),
        ({"from": "0000-01-01T00:00:00Z"}, "from", "RFC3339"),
        ({"from": "2026-11-23T00:00:00"}, "from", "must end with Z or an offset"),
        ({"from": LONG_AGO, "to": "2026-11-23T00:00:00"}, "to", "must end with Z or an offset"),
        ({"from": LONG_AGO, "to": 5}, "to", "got int"),
        ({"from": LONG_AGO, "to": LONG_AGO}, "to", "must be later than from"),
        ({"from": LONG_AGO, "to": "2020-01-01T01:00:00+01:00"}, "to", "must be later than from"),
        ({"from": LONG_AGO, "to": "2019-12-31T23:59:59Z"}, "to", "must be later than from"),
        ({"from": LONG_AGO, "only_failed": "yes"}, "only_failed", "got str"),
        ({"from": LONG_AGO, "only_failed": None}, "only_failed", "got null"),
        ({"from": LONG_AGO, "begin": LONG_AGO}, "begin", "unknown field"),
        ({"begin": LONG_AGO}, "begin", "unknown field"),
        ({"from": LONG_AGO, "event_types": ["*"]}, "event_types", "unknown field"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_time_that_breaks_a_rule_is_named_with_the_rule(
    key: Api, path: str, *, said: dict[str, Any], field: str, rule: str
) -> None:
    [error] = problem(key.post(path, said), 400, "invalid_request")["errors"]

    assert error["field"] == field
    assert rule in error["message"]


@pytest.mark.parametrize(
    "said",
    [
        {"from": "0001-01-01T00:00:00+14:00"},
        {"from": "1969-12-31T23:59:59.999999Z"},
        {"from": LONG_AGO, "to": "9999-12-31T23:59:59.999999-14:00"},
        {"from": LONG_AGO, "to": None, "only_failed": True},
        {"from": "2026-11-23T10:00:00.123456789+02:00"},
    ],
    ids=str,
)
def test_any_time_with_an_offset_will_do(key: Api, path: str, said: dict[str, Any]) -> None:
    job = key.finished(path, said)

    assert (job["state"], job["error"]["code"]) == ("rejected", "endpoint_disabled")


def test_a_replay_needs_an_idempotency_key(key: Api, path: str) -> None:
    problem(key.send("POST", path, json={"from": LONG_AGO}), 400, "idempotency_key_missing")


def test_the_same_request_is_the_same_replay(key: Api, path: str) -> None:
    """Also without `to`, although now is later then."""
    name = str(uuid4())

    first, second = (key.post(path, {"from": LONG_AGO}, key=name) for _ in range(2))

    assert (first.headers.get("idempotency-hit"), second.headers.get("idempotency-hit")) == (None, "true")
    assert first.json()["id"] == second.json()["id"]


@pytest.mark.parametrize(
    "other",
    [
        {"from": "2020-01-01T00:00:01Z"},
        {"from": LONG_AGO, "to": "2021-01-01T00:00:00Z"},
        {"from": LONG_AGO, "only_failed": True},
    ],
    ids=str,
)
def test_another_request_is_no_such_replay(key: Api, path: str, other: dict[str, Any]) -> None:
    name = str(uuid4())
    key.post(path, {"from": LONG_AGO}, key=name)

    problem(key.post(path, other, key=name), 422, "idempotency_key_reused")


def test_another_endpoints_replay_is_another_one(key: Api, path: str) -> None:
    name = str(uuid4())
    made = key.post(ENDPOINTS, {"url": "https://hooks.example.com/", "enabled": False}).json()
    key.post(path, {"from": LONG_AGO}, key=name)

    other = key.post(f"{ENDPOINTS}/{made['id']}/replay", {"from": LONG_AGO}, key=name)

    problem(other, 422, "idempotency_key_reused")
