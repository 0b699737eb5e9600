"""An integrator who listens: an API key with endpoints whose receivers are in this process."""

from typing import Any, NamedTuple

from tests.api.clients import Api, Customer, deposit
from tests.sinks import Inbox, Reply, Sinks, until

ENDPOINTS = "/v1/webhook-endpoints"
DELIVERIES = "/v1/webhook-deliveries"


class Subscription(NamedTuple):
    """An endpoint, and what came to it."""

    inbox: Inbox
    endpoint: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.endpoint["id"])

    @property
    def path(self) -> str:
        return f"{ENDPOINTS}/{self.id}"

    @property
    def secret(self) -> str:
        return str(self.endpoint["secret"])

    @property
    def jobs(self) -> list[str]:
        """The jobs that were told of, in their own order: messages may overtake each other."""
        return sorted(one.event["data"]["id"] for one in self.inbox.messages)


class Listener:
    def __init__(self, key: Api, sinks: Sinks, customer: Customer) -> None:
        self.key = key
        self.sinks = sinks
        self._customer = customer
        self._made: list[Subscription] = []

    def subscribe(self, *event_types: str, replies: tuple[Reply | int, ...] = ()) -> Subscription:
        """Make an endpoint whose receiver gives these answers in turn; without any, 200."""
        inbox = self.sinks.open(*replies)
        return self.subscribe_to(inbox, *event_types)

    def subscribe_to(self, inbox: Inbox, *event_types: str) -> Subscription:
        response = self.key.post(ENDPOINTS, {"url": inbox.url, "event_types": event_types or ["deposit.*"]})
        assert response.status_code == 201, response.text
        made = Subscription(inbox, response.json())
        self._made.append(made)
        return made

    def pay(self, **changes: Any) -> dict[str, Any]:
        """Make an event: a deposit. Return the job as it ended."""
        return self.key.finished("/v1/deposits", deposit(self._customer.wallet_id) | changes)

    def logged(self, **query: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.key.get(DELIVERIES, query).json()["items"]
        return items

    def settled(self, delivery_id: str, *, attempts: int = 1) -> dict[str, Any]:
        """Return the delivery once so many attempts stand in the log."""
        path = f"{DELIVERIES}/{delivery_id}"
        found: dict[str, Any] = until(lambda: self.key.get(path).json(), lambda one: len(one["attempts"]) >= attempts)
        return found

    def only(self, to: Subscription) -> dict[str, Any]:
        """Return the one delivery to an endpoint, after its first attempt."""
        [found] = until(lambda: self.logged(endpoint_id=to.id), lambda items: len(items) == 1)
        return self.settled(found["id"])

    def close(self) -> None:
        """Leave nothing behind that would be sent again and again."""
        for one in self._made:
            self.key.delete(one.path)
