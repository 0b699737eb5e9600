"""Webhook deliveries: real messages to a receiver in this process, and the log that tells of each attempt."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from local.stack import Stack
from tests.api.clients import Api, Customer, deposit, fields, is_uuid7, problem
from tests.api.conftest import NewKey
from tests.api.listeners import DELIVERIES, ENDPOINTS, Listener, Subscription
from tests.sinks import Inbox, Message, Reply, until

SHOWN = {
    "id",
    "endpoint_id",
    "callback_url",
    "event_id",
    "event_type",
    "state",
    "attempts",
    "next_attempt_at",
    "created_at",
    "finished_at",
}
NOBODY = str(UUID(int=0))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_jobs_end_arrives_as_the_feed_tells_it(listener: Listener) -> None:
    made = listener.subscribe()

    job = listener.pay()

    message = made.inbox.of_job(job["id"])
    assert message.event["data"] == job
    assert message.body == listener.key.get(f"/v1/events/{message.id}").content
    assert message.is_signed_by(made.secret)


def test_a_message_carries_what_standard_webhooks_says(listener: Listener) -> None:
    made = listener.subscribe()
    message = made.inbox.of_job(listener.pay()["id"])

    assert message.headers["content-type"] == "application/json"
    assert message.headers["webhook-id"] == message.event["id"]
    assert message.event.keys() == {"id", "type", "timestamp", "data", "sequences"}
    assert not Message(message.headers, message.body + b" ").is_signed_by(made.secret)
    assert not message.is_signed_by(listener.subscribe().secret)


def test_a_delivery_is_logged_with_its_attempt(listener: Listener) -> None:
    made = listener.subscribe(replies=(Reply(202, (), b"noted,\n\tthank you"),))
    message = made.inbox.of_job(listener.pay()["id"])

    delivery = listener.only(made)

    [attempt] = delivery["attempts"]
    assert delivery.keys() == SHOWN
    assert is_uuid7(delivery["id"])
    assert (delivery["state"], delivery["event_id"]) == ("succeeded", message.id)
    assert (delivery["endpoint_id"], delivery["callback_url"]) == (made.id, None)
    assert (delivery["event_type"], delivery["next_attempt_at"]) == ("deposit.succeeded", None)
    assert (attempt["status"], attempt["error"], attempt["excerpt"]) == (202, None, "noted, thank you")
    assert delivery["created_at"] <= attempt["at"] <= delivery["finished_at"]


@pytest.mark.parametrize("status", [300, 301, 307, 400, 404, 500])
def test_what_is_not_answered_by_2xx_comes_again_after_5_seconds_at_the_earliest(
    listener: Listener, *, status: int
) -> None:
    elsewhere = listener.sinks.open()
    made = listener.subscribe(replies=(Reply(status, (("Location", elsewhere.url),), b"no"),))
    listener.pay()

    delivery = listener.only(made)

    wait = moment(delivery["next_attempt_at"]) - moment(delivery["attempts"][0]["at"])
    assert (delivery["state"], delivery["finished_at"]) == ("pending", None)
    assert delivery["attempts"][0]["status"] == status
    assert timedelta(seconds=4.9) <= wait <= timedelta(seconds=8)
    shown = until(lambda: listener.key.get(made.path).json(), lambda one: one["failing_since"] is not None)
    assert (shown["enabled"], elsewhere.messages) == (True, [])


def test_a_receiver_that_is_away_is_logged_with_the_reason(listener: Listener) -> None:
    made = listener.subscribe_to(Inbox("http://127.0.0.1:1/", ()))
    listener.pay()

    [attempt] = listener.only(made)["attempts"]

    assert (attempt["status"], attempt["error"], attempt["excerpt"]) == (None, "connection_failed", "")


def test_a_retry_that_arrives_ends_the_delivery_and_the_failing(listener: Listener) -> None:
    made = listener.subscribe(replies=(500, 200))
    listener.pay()

    delivery = listener.settled(listener.only(made)["id"], attempts=2)

    first, second = made.inbox.wait(2)
    assert [one["status"] for one in delivery["attempts"]] == [500, 200]
    assert (delivery["state"], first.id, first.body) == ("succeeded", second.id, second.body)
    assert until(lambda: listener.key.get(made.path).json(), lambda one: one["failing_since"] is None)["enabled"]


def test_a_receiver_that_is_gone_is_switched_off_until_it_is_switched_on(listener: Listener) -> None:
    made, other = listener.subscribe(replies=(410, 200)), listener.subscribe("webhook_endpoint.*")
    listener.pay()

    assert listener.only(made)["state"] == "failed"
    shown = until(lambda: listener.key.get(made.path).json(), lambda one: not one["enabled"])
    assert shown["disabled_reason"] == "answered_410"
    data = {"endpoint_id": made.id, "url": made.inbox.url, "disabled_reason": "answered_410"}
    assert [one.event["data"] for one in other.inbox.wait()] == [data]
    on = listener.key.patch(made.path, {"enabled": True}).json()
    assert (on["enabled"], on["disabled_reason"], on["failing_since"]) == (True, None, None)
    made.inbox.of_job(listener.pay()["id"])


def test_an_endpoint_that_was_off_hears_what_happens_from_then_on(listener: Listener) -> None:
    made = listener.subscribe()
    listener.key.patch(made.path, {"enabled": False})
    missed = listener.pay()
    listener.key.patch(made.path, {"enabled": True})

    made.inbox.of_job(listener.pay()["id"])

    assert missed["id"] not in made.jobs


def test_an_endpoint_hears_what_it_subscribes_to(listener: Listener) -> None:
    every, successes, rejections = (listener.subscribe(one) for one in ("*", "deposit.succeeded", "deposit.rejected"))
    succeeded, rejected, last = listener.pay(), listener.pay(wallet_id=NOBODY), listener.pay()

    for made, jobs in (
        (every, [succeeded, rejected, last]),
        (successes, [succeeded, last]),
        (rejections, [rejected]),
    ):
        made.inbox.wait(len(jobs))
        assert made.jobs == [job["id"] for job in jobs]


def test_an_endpoint_hears_of_its_own_keys_jobs_only(listener: Listener, operator: Api, ann: Customer) -> None:
    made = listener.subscribe("*")
    theirs = operator.finished("/v1/deposits", deposit(ann.wallet_id))
    mine = listener.pay()

    made.inbox.of_job(mine["id"])

    assert theirs["id"] not in made.jobs


def test_a_key_that_reads_all_jobs_hears_of_all(listener: Listener, new_key: NewKey, ann: Customer) -> None:
    reader = Listener(new_key("webhooks:write", "jobs:read"), listener.sinks, ann)
    made = reader.subscribe()

    job = listener.pay()

    assert made.inbox.of_job(job["id"]).event["data"] == job
    reader.close()


def test_deliveries_are_filtered(listener: Listener) -> None:
    good, bad = listener.subscribe(), listener.subscribe(replies=(500,))
    listener.pay()
    sent, failing = listener.only(good), listener.only(bad)

    for query, found in (
        ({"endpoint_id": good.id}, [sent]),
        ({"endpoint_id": bad.id}, [failing]),
        ({"endpoint_id": NOBODY}, []),
        ({"state": "pending"}, [failing]),
        ({"state": "succeeded"}, [sent]),
        ({"state": "succeeded", "endpoint_id": bad.id}, []),
        ({"event_type": "deposit.succeeded", "endpoint_id": good.id}, [sent]),
        ({"event_type": "transfer.succeeded"}, []),
    ):
        assert listener.logged(**query) == found


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"endpoint_id": "endpoint"}, "endpoint_id"),
        ({"endpoint_id": ""}, "endpoint_id"),
        ({"state": "sent"}, "state"),
        ({"state": ""}, "state"),
        ({"event_type": "transfer.*"}, "event_type"),
        ({"event_type": "transfer"}, "event_type"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"cursor": "next"}, "cursor"),
        ({"cursor": ""}, "cursor"),
    ],
)
def test_a_filter_that_breaks_its_rule_is_named(operator: Api, query: dict[str, str], field: str) -> None:
    assert fields(operator.get(DELIVERIES, query)) == [field]


def test_deliveries_are_listed_newest_first_page_by_page(listener: Listener) -> None:
    made = listener.subscribe()
    for _ in range(5):
        listener.pay()
    until(lambda: listener.logged(state="succeeded"), lambda items: len(items) == 5)

    pages = listener.key.pages(DELIVERIES, limit=2)

    ids = [one["id"] for page in pages for one in page]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert ids == sorted(ids, reverse=True)
    assert {one["event_id"] for page in pages for one in page} == {one.id for one in made.inbox.messages}


def test_a_key_reads_its_own_deliveries_and_the_operator_everybodys(
    listener: Listener, new_key: NewKey, operator: Api
) -> None:
    made = listener.subscribe()
    listener.pay()
    delivery = listener.only(made)
    other = new_key("webhooks:read", "webhooks:write", "jobs:read")

    assert other.get(DELIVERIES).json()["items"] == []
    assert other.get(DELIVERIES, endpoint_id=made.id).json()["items"] == []
    assert operator.get(DELIVERIES, endpoint_id=made.id).json()["items"] == [delivery]
    assert operator.get(f"{DELIVERIES}/{delivery['id']}").json() == delivery


def test_a_finished_delivery_is_followed_by_another_one_of_the_same_event(listener: Listener) -> None:
    made = listener.subscribe()
    listener.pay()
    first = listener.only(made)

    response = listener.key.post(f"{DELIVERIES}/{first['id']}/redeliver")

    second = response.json()
    assert (response.status_code, response.headers["location"]) == (202, f"{DELIVERIES}/{second['id']}")
    assert (second["state"], second["attempts"], second["event_id"]) == ("pending", [], first["event_id"])
    assert second["id"] > first["id"]
    once, again = made.inbox.wait(2)
    assert (again.id, again.body) == (once.id, once.body)
    assert listener.settled(second["id"])["state"] == "succeeded"
    assert listener.key.get(f"{DELIVERIES}/{first['id']}").json() == first


def test_the_next_attempt_of_a_pending_delivery_comes_at_once_when_asked_for(listener: Listener) -> None:
    """After two failures the next attempt is due in five minutes."""
    made = listener.subscribe(replies=(500, 500, 200))
    listener.pay()
    waiting = listener.settled(listener.only(made)["id"], attempts=2)
    assert moment(waiting["next_attempt_at"]) - moment(waiting["attempts"][1]["at"]) > timedelta(minutes=4)

    hastened = listener.key.post(f"{DELIVERIES}/{waiting['id']}/redeliver")

    assert (hastened.status_code, hastened.json()["id"]) == (202, waiting["id"])
    done = listener.settled(waiting["id"], attempts=3)
    assert (done["state"], len(made.inbox.wait(3))) == ("succeeded", 3)
    assert listener.logged() == [done]


def test_who_asks_for_it_need_not_wait_for_as_long_as_the_receiver_asked(listener: Listener) -> None:
    made = listener.subscribe(replies=(Reply(503, (("Retry-After", "3600"),), b"busy"), 200))
    listener.pay()
    waiting = listener.only(made)
    until(lambda: listener.key.get(made.path).json(), lambda one: one["failing_since"] is not None)
    assert moment(waiting["next_attempt_at"]) - moment(waiting["created_at"]) > timedelta(minutes=59)

    listener.key.post(f"{DELIVERIES}/{waiting['id']}/redeliver")

    assert listener.settled(waiting["id"], attempts=2)["state"] == "succeeded"


def end(listener: Listener, made: Subscription, ended: str) -> None:
    response = (
        listener.key.delete(made.path) if ended == "removed" else listener.key.patch(made.path, {"enabled": False})
    )
    assert response.is_success


@pytest.mark.parametrize("ended", ["off", "removed"])
def test_nothing_is_sent_again_to_an_endpoint_that_is_off_or_removed(listener: Listener, *, ended: str) -> None:
    made = listener.subscribe()
    listener.pay()
    delivery = listener.only(made)

    end(listener, made, ended)

    problem(listener.key.post(f"{DELIVERIES}/{delivery['id']}/redeliver"), 409, "endpoint_disabled")
    assert listener.logged() == [delivery]


@pytest.mark.parametrize("ended", ["off", "removed"])
def test_what_waits_for_an_endpoint_that_ends_is_canceled(listener: Listener, *, ended: str) -> None:
    made = listener.subscribe(replies=(500,))
    listener.pay()
    waiting = listener.only(made)

    end(listener, made, ended)

    [canceled] = listener.logged()
    assert (canceled["state"], canceled["next_attempt_at"]) == ("canceled", None)
    assert canceled["finished_at"] is not None
    assert canceled["attempts"] == waiting["attempts"]


def test_a_test_is_sent_whatever_the_endpoint_subscribes_to(listener: Listener) -> None:
    made, other = listener.subscribe("transfer.*"), listener.subscribe("*")

    response = listener.key.post(f"{ENDPOINTS}/{made.id}/test")

    delivery = response.json()
    assert (response.status_code, response.headers["location"]) == (202, f"{DELIVERIES}/{delivery['id']}")
    [message] = made.inbox.wait()
    assert message.is_signed_by(made.secret)
    assert (message.id, message.event["type"]) == (delivery["event_id"], "webhook.test")
    assert message.event["data"] == {"endpoint_id": made.id, "message": "This is a test."}
    assert message.body == listener.key.get(f"/v1/events/{message.id}").content
    job = listener.pay()
    other.inbox.of_job(job["id"])
    assert other.jobs == [job["id"]]


def test_no_test_is_sent_to_an_endpoint_that_is_off(listener: Listener) -> None:
    made = listener.subscribe()
    listener.key.patch(made.path, {"enabled": False})

    problem(listener.key.post(f"{made.path}/test"), 409, "endpoint_disabled")

    assert listener.logged() == []


def test_after_a_rotation_messages_are_signed_by_both_secrets(listener: Listener) -> None:
    made = listener.subscribe()
    new = listener.key.post(f"{made.path}/rotate-secret").json()["secret"]

    message = made.inbox.of_job(listener.pay()["id"])

    assert (message.is_signed_by(new), message.is_signed_by(made.secret)) == (True, True)
    assert len(message.headers["webhook-signature"].split()) == 2


def test_a_delivery_waits_in_the_log_while_no_worker_sends_it(listener: Listener, stack: Stack) -> None:
    made = listener.subscribe()
    stack.hold("worker-webhooks")
    try:
        sent = listener.key.post(f"{made.path}/test").json()
        shown = listener.key.get(f"{DELIVERIES}/{sent['id']}").json()
    finally:
        stack.release("worker-webhooks")

    assert shown == sent
    assert (sent["state"], sent["attempts"], sent["next_attempt_at"]) == ("pending", [], sent["created_at"])
    assert made.inbox.wait()[0].event["type"] == "webhook.test"
