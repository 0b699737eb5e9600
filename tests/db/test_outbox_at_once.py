"""Two couriers at the same events, and endpoints that come and go meanwhile: nothing lost, nothing told twice."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

import db.deliveries
import db.keys
import db.outbox
import db.webhooks
from db.outbox import FannedOut
from domain.jobs import JobState, Kind
from domain.webhooks import UpdateWebhookEndpoint
from tests import committed, made
from tests.databases import connected

NOTHING = FannedOut(events=0, deliveries=0, has_more=False)
COURIERS, EVENTS, SHARE = 3, 60, 7


@pytest.fixture(autouse=True)
def nothing_before(owner: Connection) -> None:
    committed.forget_events(owner)


@pytest.fixture
def first(environment: Mapping[str, str]) -> Iterator[Connection]:
    with connected(environment["DATABASE_WORKER_URL"]) as connection:
        yield connection


@pytest.fixture
def second(environment: Mapping[str, str]) -> Iterator[Connection]:
    with connected(environment["DATABASE_WORKER_URL"]) as connection:
        yield connection


@pytest.fixture
def key(owner: Connection) -> UUID:
    return made.api_key(owner, "jobs:read")


@pytest.fixture
def endpoint(owner: Connection, key: UUID) -> UUID:
    endpoint_id = made.endpoint(owner, key)
    owner.commit()
    return endpoint_id


@pytest.mark.usefixtures("endpoint")
def test_while_one_courier_fans_out_another_neither_waits_nor_does_anything(
    owner: Connection, first: Connection, second: Connection
) -> None:
    told(owner, 3)
    assert db.outbox.fan_out(first, 100).deliveries == 3
    assert db.outbox.fan_out(second, 100) == NOTHING
    first.commit()
    assert db.outbox.fan_out(second, 100) == NOTHING
    assert count(owner) == 3


@pytest.mark.usefixtures("endpoint")
def test_what_a_courier_that_died_had_fanned_out_is_fanned_out_by_another(
    owner: Connection, first: Connection, second: Connection
) -> None:
    told(owner, 3)
    db.outbox.fan_out(first, 100)
    first.rollback()
    assert count(owner) == 0
    assert db.outbox.fan_out(second, 2) == FannedOut(events=2, deliveries=2, has_more=True)
    second.commit()
    assert db.outbox.fan_out(first, 2) == FannedOut(events=1, deliveries=1, has_more=False)


@pytest.mark.usefixtures("endpoint")
def test_many_couriers_tell_everything_once_while_events_still_come(
    environment: Mapping[str, str], owner: Connection
) -> None:
    with ThreadPoolExecutor(COURIERS) as pool:
        fanning = [pool.submit(fan_out_all, environment["DATABASE_WORKER_URL"]) for _ in range(COURIERS)]
        for _ in range(EVENTS):
            made.ended(owner)
            owner.commit()
        for one in fanning:
            one.result()
    repeated = owner.scalar(text("SELECT count(*) - count(DISTINCT event_id) FROM webhook_deliveries"))
    assert (count(owner), repeated) == (EVENTS, 0)


def fan_out_all(url: str) -> None:
    """Fan out in small turns, some of which die, until a delivery stands for each of EVENTS."""
    with connected(url) as courier:
        for turn in range(10_000):
            db.outbox.fan_out(courier, SHARE)
            if turn % 3:
                courier.commit()
            courier.rollback()
            if count(courier) == EVENTS:
                break


@pytest.mark.parametrize("is_new", [True, False])
def test_an_endpoint_that_is_switched_on_meanwhile_hears_of_everything_after_it(
    environment: Mapping[str, str], owner: Connection, first: Connection, key: UUID, *, is_new: bool
) -> None:
    known = made.endpoint(owner, key, enabled=False)
    with connected(environment["DATABASE_URL"]) as slow:
        owner.commit()
        if is_new:
            made.endpoint(slow, key)
        else:
            db.webhooks.update(slow, known, UpdateWebhookEndpoint(enabled=True))
        told(owner, 1, wait=False)
        assert skip_and_fan_out(first) == NOTHING
        slow.commit()
    committed.wait_until_told(owner)
    assert skip_and_fan_out(first).deliveries == 1


def skip_and_fan_out(courier: Connection) -> FannedOut:
    db.outbox.skip_unwanted(courier)
    courier.commit()
    found = db.outbox.fan_out(courier, 100)
    courier.commit()
    return found


@pytest.mark.parametrize("way", ["switched off", "deleted", "its key revoked"])
def test_nothing_is_sent_to_an_endpoint_that_ends_while_events_are_fanned_out_to_it(
    owner: Connection, first: Connection, second: Connection, key: UUID, *, endpoint: UUID, way: str
) -> None:
    told(owner, 1)
    assert db.outbox.fan_out(first, 100).deliveries == 1
    if way == "switched off":
        db.webhooks.update(owner, endpoint, UpdateWebhookEndpoint(enabled=False))
    elif way == "deleted":
        db.webhooks.delete(owner, endpoint)
    else:
        db.keys.revoke(owner, key)
    owner.commit()
    first.commit()
    assert [one.is_allowed for one in made.claim(second)] == [False]


def test_a_skip_does_not_wait_for_a_courier(owner: Connection, first: Connection, second: Connection) -> None:
    told(owner, 1)
    assert db.outbox.fan_out(first, 100).events == 1
    db.outbox.skip_unwanted(second)
    second.commit()
    first.rollback()
    assert db.outbox.fan_out(second, 100).events == 1


def test_a_skip_leaves_what_is_not_committed_yet(
    environment: Mapping[str, str], owner: Connection, first: Connection, key: UUID
) -> None:
    owner.commit()
    with connected(environment["DATABASE_URL"]) as slow:
        made.ended(slow, Kind.DEPOSIT_CREATE, JobState.FAILED, caller=f"key:{key}", callback_url="https://example.rw/")
        told(owner, 1, wait=False)
        db.outbox.skip_unwanted(first)
        first.commit()
        slow.commit()
    committed.wait_until_told(owner)
    assert db.outbox.fan_out(first, 100) == FannedOut(events=2, deliveries=1, has_more=False)


def test_an_endpoint_hears_of_what_began_before_it_and_ended_after(
    environment: Mapping[str, str], owner: Connection, first: Connection, key: UUID
) -> None:
    owner.commit()
    with connected(environment["DATABASE_URL"]) as slow:
        job_id = made.ended(slow)
        endpoint = made.endpoint(owner, key)
        owner.commit()
        slow.commit()
    committed.wait_until_told(owner)
    assert db.outbox.fan_out(first, 100).deliveries == 1
    first.commit()
    heard = owner.execute(
        text("SELECT job_id, endpoint_id FROM webhook_deliveries JOIN events ON events.id = event_id")
    )
    assert [tuple(row) for row in heard] == [(job_id, endpoint)]


def told(owner: Connection, events: int, *, wait: bool = True) -> None:
    for _ in range(events):
        made.ended(owner)
    owner.commit()
    if wait:
        committed.wait_until_told(owner)


def count(connection: Connection) -> int:
    found: int = connection.execute(text("SELECT count(*) FROM webhook_deliveries")).scalar_one()
    connection.rollback()
    return found
