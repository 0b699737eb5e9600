"""What Prometheus reads of webhooks: attempts by what came of them, and how long the oldest due one waits."""

import re

import pytest

from local.stack import Stack
from tests.api.clients import Api
from tests.api.listeners import Listener
from tests.sinks import until

WAITED_SECONDS = 1.0


def measured(anyone: Api, name: str) -> float:
    """Return the value of a metric that has no labels, or whose name here has them."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", anyone.get("/metrics").text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def attempts(anyone: Api, outcome: str) -> float:
    return measured(anyone, f'tekana_webhook_attempts_total{{outcome="{outcome}"}}')


@pytest.mark.parametrize(("status", "outcome"), [(200, "succeeded"), (500, "retried"), (410, "failed")])
def test_each_attempt_is_counted_by_what_came_of_it(
    listener: Listener, anyone: Api, *, status: int, outcome: str
) -> None:
    made, before = listener.subscribe(replies=(status,)), attempts(anyone, outcome)
    listener.pay()

    listener.only(made)

    assert attempts(anyone, outcome) > before


def test_the_oldest_due_delivery_waits_while_no_worker_sends_it(listener: Listener, anyone: Api, stack: Stack) -> None:
    made = listener.subscribe()
    stack.hold("worker-webhooks")
    try:
        listener.key.post(f"{made.path}/test")
        waited = until(lambda: oldest_due(anyone), lambda seconds: seconds > WAITED_SECONDS)
        longer = until(lambda: oldest_due(anyone), lambda seconds: seconds > waited)
    finally:
        stack.release("worker-webhooks")
    listener.only(made)

    assert longer > waited
    assert until(lambda: oldest_due(anyone), lambda seconds: seconds < WAITED_SECONDS) < WAITED_SECONDS


def test_an_event_waits_too_until_it_has_become_deliveries(listener: Listener, anyone: Api, stack: Stack) -> None:
    made = listener.subscribe()
    stack.hold("worker-webhooks")
    try:
        job = listener.pay()
        until(lambda: oldest_due(anyone), lambda seconds: seconds > WAITED_SECONDS)
        assert listener.logged() == []
    finally:
        stack.release("worker-webhooks")

    assert made.inbox.of_job(job["id"])


def test_a_retry_that_is_not_due_yet_does_not_count_as_waiting(listener: Listener, anyone: Api) -> None:
    made = listener.subscribe(replies=(500,))
    listener.pay()
    delivery = listener.only(made)

    assert delivery["state"] == "pending"
    assert until(lambda: oldest_due(anyone), lambda seconds: seconds < WAITED_SECONDS) < WAITED_SECONDS


def oldest_due(anyone: Api) -> float:
    return measured(anyone, "tekana_webhook_oldest_due_seconds")
