"""What becomes of deliveries on demand: found, canceled, hastened, repeated."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.deliveries
from db.deliveries import ClaimedDelivery, Recorded
from domain.deliveries import Delivery, DeliveryState
from tests import made

PENDING, SUCCEEDED, FAILED, CANCELED = DeliveryState


@pytest.fixture
def key(tx: Connection) -> UUID:
    return made.api_key(tx)


@pytest.fixture
def endpoint(tx: Connection, key: UUID) -> UUID:
    return made.endpoint(tx, key)


def test_a_delivery_is_found_by_its_key_and_by_an_operator(tx: Connection, key: UUID, endpoint: UUID) -> None:
    for delivery_id in (made.delivery(tx, endpoint), made.called_back(tx, key)):
        is_found = [db.deliveries.find(tx, delivery_id, who) is not None for who in (key, None, uuid7())]
        assert is_found == [True, True, False]
    assert db.deliveries.find(tx, uuid7(), None) is None


def test_only_what_waits_for_the_named_endpoints_is_canceled(tx: Connection, key: UUID, endpoint: UUID) -> None:
    ended, waits = made.delivery(tx, endpoint), made.delivery(tx, endpoint)
    finish(tx, ended)
    others = [made.delivery(tx, made.endpoint(tx, key)), made.called_back(tx, key)]
    db.deliveries.cancel(tx, [endpoint, uuid7()])
    assert states(tx, ended, waits, *others) == [FAILED, CANCELED, PENDING, PENDING]


def test_all_that_waits_for_a_key_is_canceled_with_it(tx: Connection, key: UUID, endpoint: UUID) -> None:
    ended, waits, called_back = made.delivery(tx, endpoint), made.delivery(tx, endpoint), made.called_back(tx, key)
    finish(tx, ended)
    other = made.called_back(tx, made.api_key(tx))
    db.deliveries.cancel_of(tx, key)
    assert states(tx, ended, waits, called_back, other) == [FAILED, CANCELED, CANCELED, PENDING]


def test_a_pending_delivery_is_hastened(tx: Connection, endpoint: UUID) -> None:
    delivery_id, other = made.delivery(tx, endpoint), made.delivery(tx, endpoint)
    tx.execute(text("UPDATE webhook_deliveries SET due_at = now() + interval '1 hour'"))
    hastened = db.deliveries.hasten(tx, delivery_id)
    assert hastened.next_attempt_at == row(tx, delivery_id).now
    assert [one.id for one in claim(tx)] == [delivery_id]
    assert row(tx, other).due_at > hastened.next_attempt_at


def test_what_is_under_way_cannot_be_hastened(tx: Connection, endpoint: UUID) -> None:
    under_way = made.delivery(tx, endpoint)
    claim(tx)
    before = row(tx, under_way)
    assert db.deliveries.hasten(tx, under_way).state is PENDING
    assert row(tx, under_way) == before


def test_what_has_ended_cannot_be_hastened(tx: Connection, endpoint: UUID) -> None:
    ended = made.delivery(tx, endpoint)
    finish(tx, ended)
    before = row(tx, ended)
    assert db.deliveries.hasten(tx, ended).state is FAILED
    assert row(tx, ended) == before


def test_a_delivery_whose_courier_died_can_be_hastened(tx: Connection, endpoint: UUID) -> None:
    delivery_id = made.delivery(tx, endpoint)
    claim(tx)
    tx.execute(text("UPDATE webhook_deliveries SET leased_until = now() - interval '1 second'"))
    db.deliveries.hasten(tx, delivery_id)
    assert [one.fence for one in claim(tx)] == [2]


@pytest.mark.parametrize("is_callback", [True, False])
def test_a_finished_delivery_is_repeated_to_the_same_address(
    tx: Connection, key: UUID, endpoint: UUID, *, is_callback: bool
) -> None:
    first = made.called_back(tx, key) if is_callback else made.delivery(tx, endpoint)
    finish(tx, first)
    again = db.deliveries.repeat(tx, first, uuid7())
    assert again is not None
    before = found(tx, first)
    assert (again.state, again.attempts, before.state) == (PENDING, [], FAILED)
    assert [getattr(again, name) == getattr(before, name) for name in SAME] == [True] * len(SAME)
    assert row(tx, again.id).lane_id == row(tx, first).lane_id


SAME = ["event_id", "event_type", "endpoint_id", "callback_url"]


@pytest.mark.parametrize("is_finished", [True, False])
def test_whoever_sends_something_again_ends_the_endpoints_pause_and_no_other(
    tx: Connection, key: UUID, endpoint: UUID, *, is_finished: bool
) -> None:
    other, delivery_id = made.endpoint(tx, key), made.delivery(tx, endpoint)
    tx.execute(text("UPDATE webhook_endpoints SET paused_until = now() + interval '1 hour'"))
    if is_finished:
        finish(tx, delivery_id)
        db.deliveries.repeat(tx, delivery_id, uuid7())
    else:
        db.deliveries.hasten(tx, delivery_id)
    assert tx.scalars(text("SELECT id FROM webhook_endpoints WHERE paused_until > now()")).all() == [other]
    assert len(claim(tx)) == 1


def claim(tx: Connection) -> list[ClaimedDelivery]:
    return made.claim(tx)


def finish(tx: Connection, delivery_id: UUID) -> None:
    """Fail a delivery that waits, and no other."""
    row = tx.execute(text("SELECT fence FROM webhook_deliveries WHERE id = :id"), {"id": delivery_id}).one()
    came = Recorded(id=delivery_id, fence=row.fence, state=FAILED, delay_seconds=0, attempt=None)
    db.deliveries.record(tx, [came])


def found(tx: Connection, delivery_id: UUID) -> Delivery:
    delivery = db.deliveries.find(tx, delivery_id, None)
    assert delivery is not None
    return delivery


def states(tx: Connection, *deliveries: UUID) -> list[DeliveryState]:
    return [found(tx, one).state for one in deliveries]


def row(tx: Connection, delivery_id: UUID) -> Any:
    """Return the row, and what time it is."""
    return tx.execute(text("SELECT *, now() AS now FROM webhook_deliveries WHERE id = :id"), {"id": delivery_id}).one()
