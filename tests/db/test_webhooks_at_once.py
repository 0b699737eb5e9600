"""Owners and couriers at the same endpoint: they wait for each other in one order, deliveries first."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import Connection
from uuid_utils.compat import uuid7

import db.deliveries
import db.keys
import db.webhooks
from db.deliveries import Recorded
from db.webhooks import Health, NewEndpoint
from domain.deliveries import DeliveryState
from domain.webhooks import UpdateWebhookEndpoint
from tests import committed, made
from tests.databases import connected, wait_until_blocked


@pytest.fixture(autouse=True)
def nothing_before(owner: Connection) -> None:
    committed.forget_events(owner)


@pytest.fixture
def courier(environment: Mapping[str, str]) -> Iterator[Connection]:
    with connected(environment["DATABASE_WORKER_URL"]) as connection:
        yield connection


@pytest.fixture
def api(environment: Mapping[str, str]) -> Iterator[Connection]:
    with connected(environment["DATABASE_API_URL"]) as connection:
        yield connection


@pytest.fixture
def other(environment: Mapping[str, str]) -> Iterator[Connection]:
    with connected(environment["DATABASE_URL"]) as connection:
        yield connection


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool


@pytest.mark.parametrize(("ending", "is_added"), [("commit", False), ("rollback", True)])
def test_two_that_add_the_last_endpoint_at_once_count_each_other(
    owner: Connection, api: Connection, other: Connection, thread: ThreadPoolExecutor, *, ending: str, is_added: bool
) -> None:
    key = made.api_key(owner)
    owner.commit()
    assert db.webhooks.insert(api, new(key), "s", 1) is not None
    waiting = thread.submit(db.webhooks.insert, other, new(key), "s", 1)
    wait_until_blocked(owner, waiting)
    getattr(api, ending)()
    assert (waiting.result(5) is not None) is is_added


def test_whoever_adds_an_endpoint_does_not_wait_for_other_keys(
    owner: Connection, api: Connection, other: Connection
) -> None:
    keys = [made.api_key(owner), made.api_key(owner)]
    owner.commit()
    added = [db.webhooks.insert(one, new(key), "s", 1) for one, key in zip((api, other), keys, strict=True)]
    assert None not in added


def delete(tx: Connection, endpoint: UUID) -> object:
    return db.webhooks.delete(tx, endpoint)


def switch_off(tx: Connection, endpoint: UUID) -> object:
    return db.webhooks.update(tx, endpoint, UpdateWebhookEndpoint(enabled=False))


def revoke(tx: Connection, endpoint: UUID) -> object:
    owned = db.webhooks.find(tx, endpoint)
    assert owned is not None
    db.webhooks.disable_of(tx, owned.key_id)
    return None


@pytest.mark.parametrize("is_gone", [False, True])
@pytest.mark.parametrize("act", [delete, switch_off, revoke])
def test_an_owner_and_a_courier_that_records_a_failure_both_pass(
    owner: Connection,
    courier: Connection,
    other: Connection,
    *,
    thread: ThreadPoolExecutor,
    act: Callable[[Connection, UUID], object],
    is_gone: bool,
) -> None:
    endpoint = made.endpoint(owner, made.api_key(owner))
    for _ in range(2):
        made.delivery(owner, endpoint)
    owner.commit()
    [claimed] = made.claim(courier, total=1)
    courier.commit()
    failed = Recorded(id=claimed.id, fence=claimed.fence, state=DeliveryState.PENDING, delay_seconds=5, attempt=None)
    db.deliveries.record(courier, [failed])
    act(other, endpoint)
    health = Health(endpoint_id=endpoint, succeeded=False, is_gone=is_gone)
    noting = thread.submit(db.webhooks.note_health, courier, [health], 1_000)
    wait_until_blocked(owner, noting)
    other.commit()
    noting.result(5)
    courier.commit()


def new(key_id: UUID) -> NewEndpoint:
    return NewEndpoint(
        id=uuid7(),
        key_id=key_id,
        url=made.ENDPOINT_URL,
        event_types=["*"],
        description=None,
        enabled=True,
        disabled_reason=None,
    )
