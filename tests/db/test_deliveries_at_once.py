"""Several couriers at the same deliveries: each is sent by one, and whoever lost it changes nothing."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

import db.deliveries
import db.outbox
from db.deliveries import ClaimedDelivery, Recorded
from domain.deliveries import Delivery, DeliveryState
from tests import committed, made
from tests.databases import connected, wait_until_blocked

LEASE = 25.0
COURIERS, LANES, IN_EACH = 3, 4, 25
PENDING, SUCCEEDED, FAILED, CANCELED = DeliveryState


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
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool


@pytest.fixture
def endpoint(owner: Connection) -> UUID:
    return made.endpoint(owner, made.api_key(owner))


def test_two_couriers_share_a_lane_without_waiting_and_without_meeting(
    owner: Connection, first: Connection, second: Connection, endpoint: UUID
) -> None:
    ids = waiting(owner, endpoint, 5)
    claimed = [*claim(first, 2), *claim(second, 2)]
    assert len({one.id for one in claimed}) == 4
    first.commit()
    assert {one.id for one in (*claimed, *claim(second, 5))} == set(ids)


def test_what_a_dead_courier_was_about_to_claim_is_free_at_once(
    owner: Connection, first: Connection, second: Connection, endpoint: UUID
) -> None:
    ids = waiting(owner, endpoint, 2)
    claim(first, 2)
    assert claim(second, 2) == []
    first.rollback()
    assert sorted(one.id for one in claim(second, 2)) == ids


def test_many_couriers_claim_everything_and_nothing_twice(environment: Mapping[str, str], owner: Connection) -> None:
    ids = []
    for _ in range(LANES):
        ids += waiting(owner, made.endpoint(owner, made.api_key(owner)), IN_EACH)
    with ThreadPoolExecutor(COURIERS) as pool:
        claiming = [pool.submit(claim_all, environment["DATABASE_WORKER_URL"]) for _ in range(COURIERS)]
        claimed = [one for courier in claiming for one in courier.result()]
    assert sorted(one.id for one in claimed) == sorted(ids)
    assert {one.fence for one in claimed} == {1}


def claim_all(url: str) -> list[ClaimedDelivery]:
    """Claim little by little, and let some claims come to nothing, until nothing is left."""
    claimed: list[ClaimedDelivery] = []
    with connected(url) as courier:
        for turn in count(1):
            if not courier.scalar(LEFT):
                break
            found = claim(courier, 3, total=5)
            if turn % 4 == 0:
                courier.rollback()
                continue
            courier.commit()
            claimed += found
    return claimed


LEFT = text("SELECT EXISTS (SELECT FROM webhook_deliveries WHERE leased_until IS NULL)")


@pytest.mark.parametrize("state", [SUCCEEDED, FAILED, PENDING])
def test_a_record_that_meets_another_couriers_claim_waits_and_changes_nothing(
    owner: Connection, first: Connection, second: Connection, thread: ThreadPoolExecutor, *, endpoint: UUID, state: str
) -> None:
    [delivery_id] = waiting(owner, endpoint, 1)
    [overtaken] = claim(first)
    first.commit()
    owner.execute(text("UPDATE webhook_deliveries SET due_at = now(), leased_until = now()"))
    owner.commit()
    [claimed] = claim(second)
    recording = thread.submit(record, first, overtaken, DeliveryState(state))
    wait_until_blocked(owner, recording)
    second.commit()
    recording.result(5)
    assert db.outbox.totals(owner).by_outcome[{"pending": "retried"}.get(state, state)] == 0
    record(second, claimed, FAILED)
    assert shown(owner, delivery_id).state is FAILED


@pytest.mark.parametrize(("came", "state"), [(SUCCEEDED, SUCCEEDED), (FAILED, CANCELED), (PENDING, CANCELED)])
def test_a_record_that_meets_a_cancel_waits_and_yields_unless_it_arrived(
    owner: Connection,
    first: Connection,
    thread: ThreadPoolExecutor,
    *,
    endpoint: UUID,
    came: DeliveryState,
    state: DeliveryState,
) -> None:
    [delivery_id] = waiting(owner, endpoint, 1)
    [claimed] = claim(first)
    first.commit()
    with owner.engine.connect() as canceling:
        db.deliveries.cancel(canceling, [endpoint])
        recording = thread.submit(record, first, claimed, came)
        wait_until_blocked(owner, recording)
        canceling.commit()
        recording.result(5)
    assert shown(owner, delivery_id).state is state


def test_a_cancel_waits_for_nobody_and_leaves_what_is_being_claimed_to_who_claims_it_next(
    owner: Connection, first: Connection, endpoint: UUID
) -> None:
    [delivery_id] = waiting(owner, endpoint, 1)
    [claimed] = claim(first)
    with owner.engine.connect() as canceling:
        db.deliveries.cancel(canceling, [endpoint])
        canceling.execute(text("UPDATE webhook_endpoints SET enabled = false, disabled_reason = 'test'"))
        canceling.commit()
    first.commit()
    record(first, claimed, PENDING)
    assert shown(owner, delivery_id).state is PENDING
    owner.execute(text("UPDATE webhook_deliveries SET due_at = now()"))
    owner.commit()
    [again] = claim(first)
    assert not again.is_allowed


def test_whoever_hastens_what_is_being_claimed_does_not_free_it(
    environment: Mapping[str, str], owner: Connection, first: Connection, thread: ThreadPoolExecutor, *, endpoint: UUID
) -> None:
    [delivery_id] = waiting(owner, endpoint, 1)
    claim(first)
    with connected(environment["DATABASE_API_URL"]) as api:
        hastening = thread.submit(db.deliveries.hasten, api, delivery_id)
        wait_until_blocked(owner, hastening)
        first.commit()
        hastening.result(5)
        api.commit()
    assert claim(first) == []


def waiting(owner: Connection, endpoint: UUID, deliveries: int) -> list[UUID]:
    ids = [made.delivery(owner, endpoint) for _ in range(deliveries)]
    owner.commit()
    return ids


def claim(courier: Connection, of_each_lane: int = 10, total: int = 100) -> list[ClaimedDelivery]:
    return made.claim(courier, lane=of_each_lane, total=total, lease_seconds=LEASE)


def record(courier: Connection, claimed: ClaimedDelivery, state: DeliveryState) -> None:
    one = Recorded(id=claimed.id, fence=claimed.fence, state=state, delay_seconds=5, attempt=None)
    db.deliveries.record(courier, [one])
    courier.commit()


def shown(owner: Connection, delivery_id: UUID) -> Delivery:
    found = db.deliveries.find(owner, delivery_id, None)
    owner.rollback()
    assert found is not None
    return found
