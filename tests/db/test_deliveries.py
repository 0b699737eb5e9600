"""Deliveries: claimed in turn, leased and fenced, recorded once, canceled, hastened, repeated, listed, forgotten.

Two claimers at once stand in `test_deliveries_at_once`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.deliveries
import db.events
import db.keys
import db.outbox
import db.secrets
import db.webhooks
from db.deliveries import ClaimedDelivery, Recorded, Walk
from db.events import NOWHERE
from domain.deliveries import Attempt, Delivery, DeliveryState
from tests import made

LEASE = 25.0
AT = datetime(2026, 11, 23, 12, 0, 0, 1, tzinfo=UTC)
FAILURE = Attempt(at=AT, duration_ms=7, status=503, error=None, excerpt='"ünïcødé" \\ % \'')
PENDING, SUCCEEDED, FAILED, CANCELED = DeliveryState


@pytest.fixture
def key(tx: Connection) -> UUID:
    return made.api_key(tx)


@pytest.fixture
def endpoint(tx: Connection, key: UUID) -> UUID:
    return made.endpoint(tx, key)


def test_a_new_delivery_waits_for_its_first_attempt(tx: Connection, endpoint: UUID) -> None:
    event = made.event(tx)
    delivery = db.deliveries.insert(tx, uuid7(), event, endpoint)
    assert (delivery.event_id, delivery.event_type, delivery.endpoint_id) == (event, "wallet.opened", endpoint)
    assert (delivery.state, delivery.attempts, delivery.finished_at) == (PENDING, [], None)
    assert delivery.next_attempt_at == delivery.created_at


def test_a_claim_says_all_that_is_sent_and_where(tx: Connection, endpoint: UUID) -> None:
    delivery_id = made.delivery(tx, endpoint)
    [claimed] = claim(tx)
    assert (claimed.id, claimed.lane_id, claimed.endpoint_id) == (delivery_id, endpoint, endpoint)
    assert (claimed.url, claimed.sealed_secrets) == (made.ENDPOINT_URL, [f"sealed {endpoint}"])
    assert (claimed.fence, claimed.attempts, claimed.is_allowed) == (1, 0, True)


def test_a_claim_tells_the_event_as_the_feed_does(tx: Connection, endpoint: UUID) -> None:
    source = made.wallet(tx)
    made.deposit(tx, source, 5_00)
    made.transfer(tx, source, made.wallet(tx), 2_00)
    events = list(tx.scalars(text("SELECT id FROM events ORDER BY id")))
    for event in events:
        db.deliveries.insert(tx, uuid7(), event, endpoint)
    assert [one.event for one in claim(tx)] == [db.events.find(tx, event, db.events.Filter()) for event in events]


def test_a_callback_goes_to_its_own_address_signed_with_its_keys_secret(tx: Connection, key: UUID) -> None:
    db.secrets.rotate(tx, key, "sealed for callbacks")
    made.called_back(tx, key)
    [claimed] = claim(tx)
    assert (claimed.endpoint_id, claimed.url, claimed.is_allowed) == (None, made.CALLBACK_URL, True)
    assert claimed.sealed_secrets == ["sealed for callbacks"]


@pytest.mark.parametrize(("hours", "secrets"), [(1, ["new", "old"]), (-1, ["new"])])
def test_the_old_secret_signs_until_its_time_is_over(
    tx: Connection, endpoint: UUID, hours: int, secrets: list[str]
) -> None:
    for sealed in ("old", "new"):
        db.secrets.rotate(tx, endpoint, sealed)
    later = text("UPDATE webhook_secrets SET previous_until = now() + make_interval(hours => :hours)")
    tx.execute(later, {"hours": hours})
    made.delivery(tx, endpoint)
    assert claim(tx)[0].sealed_secrets == secrets


@pytest.mark.parametrize("way", ["revoked", "expired", "off", "no secret"])
def test_what_may_not_be_sent_is_claimed_as_such(tx: Connection, endpoint: UUID, way: str) -> None:
    delivery_id = made.delivery(tx, endpoint)
    statements = {
        "revoked": "UPDATE api_keys SET revoked_at = now()",
        "expired": "UPDATE api_keys SET expires_at = now() - interval '1 second'",
        "off": "UPDATE webhook_endpoints SET enabled = false, disabled_reason = 'r'",
        "no secret": "DELETE FROM webhook_secrets",
    }
    tx.execute(text(statements[way]))
    assert [(one.id, one.is_allowed) for one in claim(tx)] == [(delivery_id, False)]


def test_the_oldest_of_a_lane_are_claimed_first(tx: Connection, endpoint: UUID) -> None:
    ids = [made.delivery(tx, endpoint) for _ in range(5)]
    due(tx, ids[3], seconds=-60)
    due(tx, ids[4], seconds=-30)
    assert {one.id for one in claim(tx, lane=2)} == {ids[3], ids[4]}
    assert {one.id for one in claim(tx, lane=2)} == {ids[0], ids[1]}


def test_a_claim_leaves_what_is_not_due_or_has_ended(tx: Connection, endpoint: UUID) -> None:
    later, ended, now = [made.delivery(tx, endpoint) for _ in range(3)]
    due(tx, later, seconds=1)
    tx.execute(
        text("UPDATE webhook_deliveries SET state = 'failed', finished_at = now() WHERE id = :id"), {"id": ended}
    )
    assert [one.id for one in claim(tx)] == [now]


def test_lanes_with_something_due_are_found_with_how_much_and_since_when(tx: Connection, key: UUID) -> None:
    endpoints = [made.endpoint(tx, key) for _ in range(3)]
    for count, endpoint_id in enumerate(endpoints):
        for place in range(count + 1):
            due(tx, made.delivery(tx, endpoint_id), seconds=-60 + place)
    due(tx, made.delivery(tx, made.endpoint(tx, key)), seconds=60)
    lanes = db.deliveries.waiting(tx, NOWHERE, 100, 2).lanes
    now = tx.execute(text("SELECT now()")).scalar_one()
    assert [(one.lane_id, one.key_id, one.due) for one in lanes] == [
        (endpoint_id, key, due) for endpoint_id, due in zip(endpoints, (1, 2, 2), strict=True)
    ]
    assert {one.since for one in lanes} == {now - timedelta(seconds=60)}


def test_a_walk_over_many_lanes_goes_on_where_it_stopped(tx: Connection, key: UUID) -> None:
    endpoints = [made.endpoint(tx, key) for _ in range(5)]
    for endpoint_id in endpoints:
        made.delivery(tx, endpoint_id)
    due(tx, made.delivery(tx, endpoints[1]), seconds=60)
    seen, after = [], NOWHERE
    for _ in range(3):
        walk = db.deliveries.waiting(tx, after, 2, 10)
        seen.append([one.lane_id for one in walk.lanes])
        after = walk.resume or NOWHERE
    assert seen == [endpoints[:2], endpoints[2:4], endpoints[4:]]
    assert after == NOWHERE


def test_without_anything_to_send_a_walk_finds_nothing(tx: Connection) -> None:
    assert db.deliveries.waiting(tx, NOWHERE, 10, 10) == Walk(lanes=[], resume=None)


@pytest.mark.parametrize(
    ("to_endpoint", "has_failed", "is_failing"),
    [(True, False, False), (True, True, True), (False, False, False), (False, True, True)],
)
def test_a_lane_fails_as_its_endpoint_or_its_oldest_callback_does(
    tx: Connection, key: UUID, endpoint: UUID, *, to_endpoint: bool, has_failed: bool, is_failing: bool
) -> None:
    delivery_id = made.delivery(tx, endpoint) if to_endpoint else made.called_back(tx, key)
    if has_failed:
        [claimed] = claim(tx)
        record(tx, claimed, PENDING)
        due(tx, delivery_id, seconds=-1)
    if has_failed and to_endpoint:
        tx.execute(text("UPDATE webhook_endpoints SET failing_since = now()"))
    [lane] = db.deliveries.waiting(tx, NOWHERE, 10, 10).lanes
    assert lane.is_failing is is_failing


@pytest.mark.parametrize(
    ("url", "shares_the_lane"),
    [
        ("https://back.example.rw/jobs?id=1", True),
        ("https://back.example.rw/", True),
        ("https://back.example.rw?id=2", True),
        ("https://back.example.rw:8443/jobs", False),
        ("https://other.example.rw/jobs", False),
        ("https://other.example.rw//back.example.rw/jobs", False),
    ],
)
def test_callbacks_of_a_key_to_one_host_are_a_lane(
    tx: Connection, key: UUID, url: str, *, shares_the_lane: bool
) -> None:
    made.called_back(tx, key)
    made.called_back(tx, key, url)
    made.called_back(tx, made.api_key(tx))
    lanes = [one.lane_id for one in claim(tx)]
    assert (lanes[0] == lanes[1]) is shares_the_lane
    assert lanes[2] not in lanes[:2]


def test_an_endpoint_and_its_keys_callbacks_are_lanes_of_their_own(tx: Connection, key: UUID, endpoint: UUID) -> None:
    for _ in range(2):
        made.called_back(tx, key)
        made.delivery(tx, endpoint)
    assert sorted(one.endpoint_id is None for one in claim(tx, lane=1)) == [False, True]


@pytest.mark.parametrize(("seconds", "is_claimed"), [(None, True), (-1, True), (60, False)])
def test_an_endpoint_that_asked_for_a_pause_is_left_alone_and_others_are_not(
    tx: Connection, key: UUID, *, seconds: int | None, is_claimed: bool
) -> None:
    paused, other = made.endpoint(tx, key), made.endpoint(tx, key)
    mine, theirs = made.delivery(tx, paused), made.delivery(tx, other)
    pause = text("UPDATE webhook_endpoints SET paused_until = now() + make_interval(secs => :seconds) WHERE id = :id")
    tx.execute(pause, {"seconds": seconds, "id": paused})
    assert [one.id for one in claim(tx)] == ([mine, theirs] if is_claimed else [theirs])


@pytest.mark.parametrize("since", [None, AT])
def test_a_claim_says_whether_its_endpoint_fails(tx: Connection, endpoint: UUID, since: datetime | None) -> None:
    made.delivery(tx, endpoint)
    tx.execute(text("UPDATE webhook_endpoints SET failing_since = :since"), {"since": since})
    assert claim(tx)[0].is_failing is (since is not None)


def test_what_is_under_way_is_not_claimed_again_until_its_lease_ends(tx: Connection, endpoint: UUID) -> None:
    delivery_id = made.delivery(tx, endpoint)
    assert [one.fence for one in claim(tx)] == [1]
    row = found(tx, delivery_id)
    assert LEASE - 1 < (row.leased_until - row.now).total_seconds() <= LEASE + 1
    assert (row.due_at - row.leased_until) < timedelta(milliseconds=1)
    assert claim(tx) == []
    end_lease(tx)
    assert [(one.id, one.fence) for one in claim(tx)] == [(delivery_id, 2)]


@pytest.mark.parametrize("state", [PENDING, SUCCEEDED, FAILED, CANCELED])
def test_whoever_was_overtaken_changes_nothing(tx: Connection, endpoint: UUID, state: DeliveryState) -> None:
    delivery_id = made.delivery(tx, endpoint)
    [overtaken] = claim(tx)
    end_lease(tx)
    claim(tx)
    before = found(tx, delivery_id)
    record(tx, overtaken, state)
    assert found(tx, delivery_id) == before
    assert sum(db.outbox.totals(tx).by_outcome.values()) == 0


@pytest.mark.parametrize(
    ("state", "is_finished", "counted"),
    [(SUCCEEDED, True, "succeeded"), (FAILED, True, "failed"), (PENDING, False, "retried"), (CANCELED, True, None)],
)
def test_what_came_of_an_attempt_is_kept_and_counted_once(
    tx: Connection, endpoint: UUID, *, state: DeliveryState, is_finished: bool, counted: str | None
) -> None:
    delivery_id = made.delivery(tx, endpoint)
    [claimed] = claim(tx)
    for _ in range(2):
        record(tx, claimed, state, delay=300)
    row = found(tx, delivery_id)
    assert (row.state, row.finished_at is not None, row.leased_until, row.fence) == (state, is_finished, None, 2)
    assert shown(tx, delivery_id).attempts == [FAILURE]
    assert {name for name, count in db.outbox.totals(tx).by_outcome.items() if count} == {counted} - {None}


def test_the_next_attempt_comes_after_the_wait(tx: Connection, endpoint: UUID) -> None:
    delivery_id = made.delivery(tx, endpoint)
    record(tx, claim(tx)[0], PENDING, delay=300)
    assert 299 < (found(tx, delivery_id).due_at - found(tx, delivery_id).now).total_seconds() < 310
    assert shown(tx, delivery_id).next_attempt_at == found(tx, delivery_id).due_at
    due(tx, delivery_id, seconds=0)
    assert [(one.attempts, one.fence) for one in claim(tx)] == [(1, 3)]


def test_attempts_are_kept_in_their_order_and_none_where_none_was_made(tx: Connection, endpoint: UUID) -> None:
    delivery_id = made.delivery(tx, endpoint)
    second = Attempt(at=AT, duration_ms=15_000, status=None, error="timed_out", excerpt="")
    for attempt in (FAILURE, None, second):
        due(tx, delivery_id, seconds=0)
        record(tx, claim(tx)[0], PENDING, attempt)
    assert shown(tx, delivery_id).attempts == [FAILURE, second]


def test_many_are_recorded_together_each_by_its_own_fence(tx: Connection, endpoint: UUID) -> None:
    for _ in range(3):
        made.delivery(tx, endpoint)
    claimed = claim(tx)
    states = [SUCCEEDED, FAILED, PENDING]
    recorded = [recorded_of(one, state) for one, state in zip(claimed, states, strict=True)]
    db.deliveries.record(
        tx, [*recorded, recorded[0], Recorded(id=uuid7(), fence=1, state=FAILED, delay_seconds=0, attempt=None)]
    )
    assert [found(tx, one.id).state for one in claimed] == states
    assert db.outbox.totals(tx).by_outcome == {"succeeded": 1, "failed": 1, "retried": 1}


@pytest.mark.parametrize(
    ("came", "state"), [(PENDING, CANCELED), (FAILED, CANCELED), (CANCELED, CANCELED), (SUCCEEDED, SUCCEEDED)]
)
def test_what_was_canceled_under_way_stays_so_unless_it_arrived(
    tx: Connection, endpoint: UUID, came: DeliveryState, state: DeliveryState
) -> None:
    delivery_id = made.delivery(tx, endpoint)
    [claimed] = claim(tx)
    db.deliveries.cancel(tx, [endpoint])
    record(tx, claimed, came)
    delivery = shown(tx, delivery_id)
    assert (delivery.state, delivery.attempts, delivery.next_attempt_at) == (state, [FAILURE], None)
    assert delivery.finished_at is not None
    assert claim(tx) == []


def test_an_event_that_only_a_newer_release_knows_is_left_to_it(tx: Connection, endpoint: UUID) -> None:
    unknown, known = [made.delivery(tx, endpoint) for _ in range(2)]
    event = "INSERT INTO events (id, type, occurred_at, caller, data) VALUES (:id, 'webhook.novel', now(), 'c', '{}')"
    event_id = uuid7()
    tx.execute(text(event), {"id": event_id})
    tx.execute(
        text("UPDATE webhook_deliveries SET event_id = :event WHERE id = :id"), {"event": event_id, "id": unknown}
    )
    assert [one.id for one in claim(tx)] == [known]


def test_a_job_of_a_kind_that_only_a_newer_release_knows_is_left_to_it(tx: Connection, endpoint: UUID) -> None:
    job_id = made.job(tx)
    tx.execute(text("UPDATE jobs SET kind = 'deposit.reverse' WHERE id = :id"), {"id": job_id})
    tx.execute(
        text("UPDATE jobs SET state = 'succeeded', result = '{}', finished_at = now() WHERE id = :id"), {"id": job_id}
    )
    event_id = tx.execute(text("SELECT id FROM events WHERE job_id = :id"), {"id": job_id}).scalar_one()
    db.deliveries.insert(tx, uuid7(), event_id, endpoint)
    known = made.delivery(tx, endpoint)
    assert [one.id for one in claim(tx)] == [known]


def claim(tx: Connection, **limits: int) -> list[ClaimedDelivery]:
    return made.claim(tx, (), lease_seconds=LEASE, **limits)


def record(
    tx: Connection,
    claimed: ClaimedDelivery,
    state: DeliveryState,
    attempt: Attempt | None = FAILURE,
    *,
    delay: float = 5,
) -> None:
    db.deliveries.record(tx, [recorded_of(claimed, state, attempt, delay)])


def recorded_of(
    claimed: ClaimedDelivery, state: DeliveryState, attempt: Attempt | None = FAILURE, delay: float = 5
) -> Recorded:
    return Recorded(id=claimed.id, fence=claimed.fence, state=state, delay_seconds=delay, attempt=attempt)


def due(tx: Connection, delivery_id: UUID, *, seconds: int) -> None:
    statement = text("UPDATE webhook_deliveries SET due_at = now() + make_interval(secs => :seconds) WHERE id = :id")
    tx.execute(statement, {"id": delivery_id, "seconds": seconds})


def end_lease(tx: Connection) -> None:
    tx.execute(text("UPDATE webhook_deliveries SET due_at = now(), leased_until = now()"))


def found(tx: Connection, delivery_id: UUID) -> Any:
    """Return the row, and what time it is."""
    return tx.execute(text("SELECT *, now() AS now FROM webhook_deliveries WHERE id = :id"), {"id": delivery_id}).one()


def shown(tx: Connection, delivery_id: UUID) -> Delivery:
    delivery = db.deliveries.find(tx, delivery_id, None)
    assert delivery is not None
    return delivery
