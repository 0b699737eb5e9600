"""The feed of events: complete, in order, each once; and what it says of a job is what GET says."""

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.api.clients import Api, Customer, deposit, fields, problem, registration, transfer
from tests.api.conftest import NewKey
from tests.sinks import ARRIVE_SECONDS, until

JOBS = 200
CLIENTS = 8
WRITES = ("customers:write", "wallets:write", "deposits:write", "withdrawals:write", "transactions:write")

Event = dict[str, Any]


class Feed(msgspec.Struct):
    """An answer of the feed; its items as they are written."""

    items: list[msgspec.Raw]
    next_cursor: str | None
    has_more: bool

    @property
    def events(self) -> list[Event]:
        return [msgspec.json.decode(one) for one in self.items]


def read(caller: Api, **query: Any) -> Feed:
    response = caller.get("/v1/events", query)
    assert response.status_code == 200, response.text
    return msgspec.json.decode(response.content, type=Feed)


def follow(caller: Api, after: str | None = None, **query: Any) -> Iterator[Feed]:
    """Read on until there is no more for now."""
    while True:
        feed = read(caller, **query | ({} if after is None else {"after": after}))
        yield feed
        if not feed.has_more:
            return
        after = feed.next_cursor


def everything(caller: Api, after: str | None = None, **query: Any) -> list[Event]:
    return [event for feed in follow(caller, after, **query) for event in feed.events]


def settled(caller: Api, count: int) -> list[Event]:
    """Return the caller's events once there are so many: they are shown when no older transaction runs."""
    found: list[Event] = until(lambda: everything(caller), lambda events: len(events) >= count)
    return found


@pytest.fixture
def key(new_key: NewKey) -> Api:
    """A key that reads what is its own: nothing yet."""
    return new_key("webhooks:read", *WRITES)


@pytest.fixture(scope="module")
def paid(new_key: NewKey, ann: Customer) -> tuple[Api, list[Event]]:
    """A key that made five deposits, and their events."""
    key = new_key("webhooks:read", "deposits:write")
    for _ in range(5):
        key.finished("/v1/deposits", deposit(ann.wallet_id))
    return key, settled(key, 5)


def test_before_anything_has_happened_there_is_nothing(key: Api) -> None:
    feed = read(key)

    assert (feed.items, feed.has_more) == ([], False)


def test_an_event_says_of_a_job_what_get_says_byte_for_byte(key: Api, ann: Customer) -> None:
    jobs = [
        key.finished("/v1/deposits", deposit(ann.wallet_id)),
        key.finished("/v1/deposits", deposit(ann.wallet_id, currency="USD")),
        key.finished("/v1/customers", registration(wallet=None)),
        key.finished("/v1/wallets", {"currency": "RWF", "customer_id": ann.id}),
    ]
    settled(key, 4)

    items = read(key).items

    for job, item in zip(jobs, items, strict=True):
        data = msgspec.json.decode(item, type=dict[str, msgspec.Raw])["data"]
        assert bytes(data) == key.get(f"/v1/jobs/{job['id']}").content
    assert [msgspec.json.decode(item)["type"] for item in items] == [
        "deposit.succeeded",
        "deposit.rejected",
        "customer.registered",
        "wallet.opened",
    ]


def test_an_event_is_read_by_its_id_as_the_feed_tells_it(paid: tuple[Api, list[Event]]) -> None:
    key, _ = paid

    for item in read(key).items:
        assert key.get(f"/v1/events/{msgspec.json.decode(item)['id']}").content == bytes(item)


def test_an_event_happened_when_its_job_ended(paid: tuple[Api, list[Event]]) -> None:
    _, events = paid

    assert [one["timestamp"] for one in events] == [one["data"]["finished_at"] for one in events]
    assert [one["id"] for one in events] == sorted(one["id"] for one in events)
    assert {UUID(one["id"]).version for one in events} == {7}


def test_a_registration_with_a_wallet_is_two_events_of_one_job(key: Api) -> None:
    job = key.finished("/v1/customers", registration())

    events = settled(key, 2)

    assert sorted(one["type"] for one in events) == ["customer.registered", "wallet.opened"]
    assert [one["data"] for one in events] == [job, job]


def test_a_movement_tells_the_places_of_its_entries_in_their_wallets(
    key: Api, new_customer: Callable[..., Customer]
) -> None:
    one, other = (new_customer().wallet_id for _ in range(2))
    key.finished("/v1/deposits", deposit(one, 100))
    key.finished("/v1/transfers", transfer(one, other, 60))
    key.finished("/v1/transfers", transfer(one, other, 60))
    key.finished("/v1/withdrawals", deposit(one, 40))
    key.finished("/v1/transfers", transfer(other, one, 10))

    told = [
        (event["type"], {place["wallet_id"]: place["sequence"] for place in event["sequences"]})
        for event in settled(key, 5)
    ]

    assert told == [
        ("deposit.succeeded", {one: 1}),
        ("transfer.succeeded", {one: 2, other: 1}),
        ("transfer.rejected", {}),
        ("withdrawal.succeeded", {one: 3}),
        ("transfer.succeeded", {one: 4, other: 2}),
    ]


def test_a_reader_goes_on_from_the_cursor_or_from_an_event(paid: tuple[Api, list[Event]]) -> None:
    key, events = paid
    first = read(key, limit=2)

    by_cursor, by_id = (read(key, after=after) for after in (first.next_cursor, events[1]["id"]))

    assert (first.events, first.has_more) == (events[:2], True)
    assert by_cursor.events == by_id.events == events[2:]
    assert by_cursor.next_cursor == by_id.next_cursor


def test_a_cursor_stays_good_when_there_is_nothing_new(paid: tuple[Api, list[Event]], ann: Customer) -> None:
    key, _ = paid
    *_, last = follow(key)

    again = read(key, after=last.next_cursor)
    job = key.finished("/v1/deposits", deposit(ann.wallet_id))
    later: list[Event] = until(lambda: everything(key, again.next_cursor), bool)

    assert (again.items, again.has_more) == ([], False)
    assert [one["data"] for one in later] == [job]


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_pages_of_any_length_tell_the_same(paid: tuple[Api, list[Event]], limit: int) -> None:
    key, events = paid

    pages = list(follow(key, limit=limit))

    assert [one for page in pages for one in page.events][: len(events)] == events
    assert all(len(page.items) <= limit for page in pages)
    assert {page.has_more for page in pages[:-1]} <= {True}


@pytest.mark.parametrize("limit", ["0", "-1", "201", "ten", "", "1.5"])
def test_a_limit_beyond_1_to_200_is_refused(key: Api, limit: str) -> None:
    assert fields(key.get("/v1/events", limit=limit)) == ["limit"]


def test_events_are_filtered_by_type_and_prefix(key: Api, ann: Customer) -> None:
    key.finished("/v1/deposits", deposit(ann.wallet_id))
    key.finished("/v1/deposits", deposit(ann.wallet_id, currency="USD"))
    key.finished("/v1/withdrawals", deposit(ann.wallet_id))
    settled(key, 3)

    def types(event_type: str) -> list[str]:
        return [one["type"] for one in everything(key, event_type=event_type)]

    assert types("deposit.succeeded") == ["deposit.succeeded"]
    assert types("deposit.*") == ["deposit.succeeded", "deposit.rejected"]
    assert types("*") == ["deposit.succeeded", "deposit.rejected", "withdrawal.succeeded"]
    assert types("transfer.*") == []


@pytest.mark.parametrize(
    "event_type", ["", "deposit", "deposit.", "*.succeeded", "deposit.lost", "Deposit.*", "x" * 65]
)
def test_a_type_that_there_is_not_is_refused(key: Api, event_type: str) -> None:
    assert fields(key.get("/v1/events", event_type=event_type)) == ["event_type"]


def in_base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


NO_POSITIONS = {
    "empty": "",
    "a number": "0",
    "a word": "latest",
    "an unknown event": str(UUID(int=7)),
    "a random event": "5f0c9f4e-3c1d-4c8a-9d3e-0123456789ab",
    "percent signs": "%%%",
    "not ASCII": "é",
    "NUL": "\0",
    "a cursor of another list": in_base64(str(UUID(int=7))),
    "no event": in_base64("5."),
    "no transaction": in_base64(f".{UUID(int=7)}"),
    "a negative transaction": in_base64(f"-1.{UUID(int=7)}"),
    "a transaction beyond 63 bits": in_base64(f"{2**63}.{UUID(int=7)}"),
    "a fraction": in_base64(f"1.5.{UUID(int=7)}"),
    "SQL": in_base64("' OR 1=1"),
    "bytes": base64.urlsafe_b64encode(b"\xff" * 30).decode(),
    "too long": "x" * 201,
}


@pytest.mark.parametrize("after", NO_POSITIONS.values(), ids=NO_POSITIONS.keys())
def test_a_position_that_nobody_gave_out_is_refused(operator: Api, key: Api, after: str) -> None:
    assert fields(operator.get("/v1/events", after=after)) == ["after"]
    assert fields(key.get("/v1/events", after=after)) == ["after"]


def test_a_key_reads_of_its_own_jobs_and_with_jobs_read_of_all(
    paid: tuple[Api, list[Event]], key: Api, new_key: NewKey, operator: Api
) -> None:
    _, [event, *_] = paid
    reader = new_key("webhooks:read", "jobs:read")

    assert everything(key) == []
    problem(key.get(f"/v1/events/{event['id']}"), 404, "not_found")
    assert fields(key.get("/v1/events", after=event["id"])) == ["after"]
    for caller in (reader, operator):
        assert event in everything(caller, event_type="deposit.*")
        assert caller.get(f"/v1/events/{event['id']}").json() == event


def test_what_customers_and_strangers_did_is_told_to_who_reads_all_jobs(
    anyone: Api, new_key: NewKey, ann: Customer, bob: Customer
) -> None:
    reader = new_key("webhooks:read", "jobs:read")
    *_, before = follow(reader, limit=200)
    jobs = [
        anyone.finished("/v1/customers", registration(wallet=None)),
        ann.api.finished("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id)),
    ]

    def told() -> list[dict[str, Any]]:
        """Return what was told of these jobs: one of an earlier test may end just now."""
        found = [one["data"] for one in everything(reader, before.next_cursor)]
        return [one for one in found if one["id"] in {job["id"] for job in jobs}]

    assert until(told, lambda found: len(found) >= len(jobs)) == jobs


@pytest.mark.parametrize("event_id", [str(UUID(int=0)), "event", "0"])
def test_an_unknown_event_is_not_there(operator: Api, event_id: str) -> None:
    problem(operator.get(f"/v1/events/{event_id}"), 404, "not_found")


@pytest.mark.parametrize("event_type", [None, "deposit.*"])
def test_who_follows_while_jobs_are_made_sees_each_once(
    key: Api, new_key: NewKey, ann: Customer, *, event_type: str | None
) -> None:
    reader, query = new_key("webhooks:read", "jobs:read"), {} if event_type is None else {"event_type": event_type}
    *_, before = follow(reader, limit=200)
    made: list[str] = []
    seen: list[str] = []  # With what became of jobs of earlier tests just now.
    position = before.next_cursor

    def make(_: int) -> None:
        made.append(key.post("/v1/deposits", deposit(ann.wallet_id)).json()["id"])

    def look() -> list[str]:
        nonlocal position
        for feed in follow(reader, position, **query):
            seen.extend(one["data"]["id"] for one in feed.events)
            position = feed.next_cursor
        return seen

    with ThreadPoolExecutor(CLIENTS) as pool:
        pool.map(make, range(JOBS))
        until(look, lambda jobs: len(made) == JOBS and set(made) <= set(jobs), 2 * ARRIVE_SECONDS)

    assert sorted(one for one in seen if one in set(made)) == sorted(made)
    assert {one["data"]["id"] for one in everything(key, limit=200)} == set(made)
