"""Who is told of what: an event becomes one delivery for each endpoint and callback that may hear of it."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.deliveries
import db.events
import db.keys
import db.outbox
import db.webhooks
from db.events import NewEvent
from db.outbox import FannedOut
from domain.events import DisabledEndpoint, EndpointTest, EventType
from domain.jobs import JobState, Kind, Queue
from domain.webhooks import UpdateWebhookEndpoint
from tests import committed, made

CALLBACK = "https://example.rw/back"
MINUTE = timedelta(minutes=1)
CUSTOMER = "customer:somebody"


@pytest.fixture(autouse=True)
def nothing_before(owner: Connection) -> None:
    committed.forget_events(owner)


@pytest.fixture
def key(owner: Connection) -> UUID:
    """An API key that reads its own jobs only."""
    return made.api_key(owner)


@pytest.fixture
def reader(owner: Connection) -> UUID:
    """An API key that reads all jobs."""
    return made.api_key(owner, "jobs:read")


def test_each_event_is_delivered_once_to_each_endpoint(owner: Connection, worker_tx: Connection, reader: UUID) -> None:
    endpoints = [
        made.endpoint(owner, reader),
        made.endpoint(owner, reader),
        made.endpoint(owner, made.api_key(owner, "*")),
    ]
    jobs = [made.ended(owner) for _ in range(3)]
    assert fan_out(owner, worker_tx) == FannedOut(events=3, deliveries=9, has_more=False)
    assert delivered(owner) == sorted((job, endpoint) for job in jobs for endpoint in endpoints)


def test_what_was_fanned_out_is_not_fanned_out_again(owner: Connection, worker_tx: Connection, reader: UUID) -> None:
    endpoint = made.endpoint(owner, reader)
    first = made.ended(owner)
    fan_out(owner, worker_tx)
    assert fan_out(owner, worker_tx) == FannedOut(events=0, deliveries=0, has_more=False)
    second = made.ended(owner)
    fan_out(owner, worker_tx)
    assert delivered(owner) == sorted([(first, endpoint), (second, endpoint)])


def test_a_new_delivery_is_due_and_says_what_it_tells_whose_it_is_and_where_it_goes(
    owner: Connection, worker_tx: Connection, key: UUID
) -> None:
    endpoint = made.endpoint(owner, key)
    made.ended(owner, Kind.TRANSFER_CREATE, JobState.REJECTED, caller=f"key:{key}")
    fan_out(owner, worker_tx)
    row = owner.execute(text("SELECT *, due_at <= now() AS is_due FROM webhook_deliveries")).one()
    assert (row.event_type, row.key_id, row.endpoint_id, row.lane_id) == ("transfer.rejected", key, endpoint, endpoint)
    assert (row.state, row.is_due, row.attempts, row.callback_url) == ("pending", True, [], None)


@pytest.mark.parametrize("delay", [0, 60])
def test_the_first_attempt_is_due_after_its_wait(
    owner: Connection, worker_tx: Connection, key: UUID, delay: int
) -> None:
    made.endpoint(owner, key)
    made.ended(owner, caller=f"key:{key}", callback_url=CALLBACK)
    committed.wait_until_told(owner)
    assert db.outbox.fan_out(worker_tx, 100, delay).deliveries == 2
    waits = worker_tx.scalars(text("SELECT extract(epoch FROM due_at - now()) FROM webhook_deliveries"))
    assert set(waits) == {delay}


@pytest.mark.parametrize(
    ("scopes", "heard"),
    [
        (["*"], ["own", "of another key", "of a customer"]),
        (["jobs:read"], ["own", "of another key", "of a customer"]),
        (["wallets:read", "jobs:read"], ["own", "of another key", "of a customer"]),
        ([], ["own"]),
        (["jobs:write", "webhooks:read", "webhooks:write", "transactions:read"], ["own"]),
    ],
)
def test_whoever_may_not_read_a_job_is_not_told_of_it(
    owner: Connection, worker_tx: Connection, scopes: list[str], heard: list[str]
) -> None:
    key = made.api_key(owner, *scopes)
    made.endpoint(owner, key)
    callers = {"own": f"key:{key}", "of another key": f"key:{made.api_key(owner)}", "of a customer": CUSTOMER}
    jobs = {made.ended(owner, caller=caller): name for name, caller in callers.items()}
    fan_out(owner, worker_tx)
    assert sorted(jobs[job] for job, _ in delivered(owner)) == sorted(heard)


@pytest.mark.parametrize(
    ("patterns", "heard"),
    [
        (["*"], ["deposit.failed", "transfer.canceled", "transfer.rejected", "wallet.opened"]),
        (["transfer.*"], ["transfer.canceled", "transfer.rejected"]),
        (["transfer.rejected"], ["transfer.rejected"]),
        (
            ["transfer.rejected", "transfer.*", "*"],
            ["deposit.failed", *["transfer.canceled", "transfer.rejected"], "wallet.opened"],
        ),
        (["deposit.*", "wallet.opened"], ["deposit.failed", "wallet.opened"]),
        (["withdrawal.*", "job.*", "webhook.*"], []),
    ],
)
def test_an_endpoint_hears_what_it_asked_for_and_each_event_once(
    owner: Connection, worker_tx: Connection, reader: UUID, *, patterns: list[str], heard: list[str]
) -> None:
    made.endpoint(owner, reader, *patterns)
    made.ended(owner, Kind.WALLET_OPEN)
    made.ended(owner, Kind.TRANSFER_CREATE, JobState.REJECTED)
    made.ended(owner, Kind.TRANSFER_CREATE, JobState.CANCELED)
    made.ended(owner, Kind.DEPOSIT_CREATE, JobState.FAILED)
    fan_out(owner, worker_tx)
    assert heard_types(owner) == heard


@pytest.mark.parametrize(("lifetime", "count"), [(None, 1), (MINUTE, 1), (-MINUTE, 0)])
def test_a_key_that_has_expired_is_told_nothing(
    owner: Connection, worker_tx: Connection, lifetime: timedelta | None, count: int
) -> None:
    now = owner.execute(text("SELECT now()")).scalar_one()
    made.endpoint(owner, made.api_key(owner, "*", expires_at=None if lifetime is None else now + lifetime))
    made.ended(owner)
    assert fan_out(owner, worker_tx).deliveries == count


def test_a_key_that_was_revoked_is_told_nothing(owner: Connection, worker_tx: Connection, reader: UUID) -> None:
    made.endpoint(owner, reader)
    owner.execute(text("UPDATE api_keys SET revoked_at = now()"))
    made.ended(owner)
    assert fan_out(owner, worker_tx) == FannedOut(events=1, deliveries=0, has_more=False)


def test_an_endpoint_that_is_off_or_deleted_is_told_nothing(
    owner: Connection, worker_tx: Connection, reader: UUID
) -> None:
    made.endpoint(owner, reader, enabled=False)
    db.webhooks.delete(owner, made.endpoint(owner, reader))
    made.ended(owner)
    assert fan_out(owner, worker_tx) == FannedOut(events=1, deliveries=0, has_more=False)


def test_an_endpoint_hears_nothing_from_before_its_time(owner: Connection, worker_tx: Connection, reader: UUID) -> None:
    made.ended(owner)
    owner.commit()
    endpoint = made.endpoint(owner, reader)
    owner.commit()
    after = made.ended(owner)
    fan_out(owner, worker_tx)
    assert delivered(owner) == [(after, endpoint)]


def test_switched_on_again_it_hears_what_happens_from_then_on(
    owner: Connection, worker_tx: Connection, reader: UUID
) -> None:
    endpoint = made.endpoint(owner, reader)
    for enabled in (False, True):
        db.webhooks.update(owner, endpoint, UpdateWebhookEndpoint(enabled=enabled))
        owner.commit()
        made.ended(owner, Kind.WALLET_OPEN if enabled else Kind.DEPOSIT_CREATE)
        owner.commit()
    fan_out(owner, worker_tx)
    assert heard_types(owner) == ["wallet.opened"]


def test_enabled_once_more_it_misses_nothing_of_what_waits(
    owner: Connection, worker_tx: Connection, reader: UUID
) -> None:
    endpoint = made.endpoint(owner, reader)
    made.ended(owner)
    owner.commit()
    db.webhooks.update(owner, endpoint, UpdateWebhookEndpoint(enabled=True))
    assert fan_out(owner, worker_tx).deliveries == 1


def test_a_callback_is_told_of_its_job_beside_endpoints(owner: Connection, worker_tx: Connection, key: UUID) -> None:
    endpoint = made.endpoint(owner, key)
    made.ended(owner, caller=f"key:{key}", callback_url=CALLBACK)
    assert fan_out(owner, worker_tx).deliveries == 2
    rows = owner.execute(text("SELECT callback_url, endpoint_id, key_id FROM webhook_deliveries ORDER BY 1"))
    assert [tuple(row) for row in rows] == [(CALLBACK, None, key), (None, endpoint, key)]


def test_a_callback_is_told_even_if_nobody_else_listens(owner: Connection, worker_tx: Connection, key: UUID) -> None:
    made.ended(owner, caller=f"key:{key}", callback_url=CALLBACK)
    made.ended(owner, caller=f"key:{key}")
    db.outbox.skip_unwanted(worker_tx)
    assert fan_out(owner, worker_tx) == FannedOut(events=2, deliveries=1, has_more=False)


def test_a_callback_of_somebody_without_a_key_holds_up_nobody(
    owner: Connection, worker_tx: Connection, reader: UUID
) -> None:
    made.endpoint(owner, reader)
    made.ended(owner, caller=CUSTOMER, callback_url=CALLBACK)
    assert fan_out(owner, worker_tx).deliveries == 1


def test_a_test_goes_to_its_endpoint_only_and_not_by_fan_out(
    owner: Connection, worker_tx: Connection, reader: UUID
) -> None:
    endpoint = made.endpoint(owner, reader, "webhook.test", "*")
    db.events.record(owner, of_webhooks(EventType.WEBHOOK_TEST, reader, endpoint))
    assert fan_out(owner, worker_tx) == FannedOut(events=1, deliveries=0, has_more=False)


def test_the_other_endpoints_of_its_key_hear_that_one_was_switched_off(
    owner: Connection, worker_tx: Connection, key: UUID
) -> None:
    off, other = made.endpoint(owner, key, enabled=False), made.endpoint(owner, key, "webhook_endpoint.*")
    made.endpoint(owner, made.api_key(owner))
    db.events.record(owner, of_webhooks(EventType.ENDPOINT_DISABLED, key, off))
    assert fan_out(owner, worker_tx).deliveries == 1
    assert owner.scalar(text("SELECT endpoint_id FROM webhook_deliveries")) == other


@pytest.mark.parametrize(("scopes", "count"), [(["*"], 1), (["jobs:read"], 0), ([], 0)])
def test_that_another_keys_endpoint_was_switched_off_is_told_to_operators_only(
    owner: Connection, worker_tx: Connection, key: UUID, *, scopes: list[str], count: int
) -> None:
    made.endpoint(owner, made.api_key(owner, *scopes))
    db.events.record(owner, of_webhooks(EventType.ENDPOINT_DISABLED, key, made.endpoint(owner, key, enabled=False)))
    assert fan_out(owner, worker_tx).deliveries == count


@pytest.mark.parametrize(
    ("endpoints", "most", "shares"),
    [
        (0, 2, [(5, False)]),
        (1, 2, [(2, True), (2, True), (1, False)]),
        (1, 5, [(5, False)]),
        (2, 6, [(3, True), (2, False)]),
        (2, 7, [(4, True), (1, False)]),
        (3, 2, [(1, True)] * 4 + [(1, False)]),
    ],
)
def test_a_turn_ends_with_the_event_that_makes_so_many_deliveries(
    owner: Connection, worker_tx: Connection, reader: UUID, *, endpoints: int, most: int, shares: Sequence[object]
) -> None:
    for _ in range(endpoints):
        made.endpoint(owner, reader)
    for _ in range(3):
        made.endpoint(owner, made.api_key(owner))  # Endpoints that hear nothing of it cost no turns.
    jobs = [made.ended(owner) for _ in range(5)]
    turns = [fan_out(owner, worker_tx, most) for _ in shares]
    assert [(turn.events, turn.has_more) for turn in turns] == shares
    assert len(delivered(owner)) == len(jobs) * endpoints


def test_a_turn_looks_at_no_more_than_so_many_events_wanted_or_not(
    owner: Connection, worker_tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.outbox, "EVENTS_AT_ONCE", 2)
    for _ in range(5):
        made.ended(owner)
    turns = [fan_out(owner, worker_tx) for _ in range(3)]
    assert [(turn.events, turn.has_more) for turn in turns] == [(2, True), (2, True), (1, False)]


def test_deliveries_are_made_in_the_order_of_their_events(
    owner: Connection, worker_tx: Connection, reader: UUID
) -> None:
    made.endpoint(owner, reader)
    for _ in range(20):
        made.ended(owner)
    fan_out(owner, worker_tx)
    rows = owner.execute(text("SELECT event_id FROM webhook_deliveries ORDER BY id")).scalars().all()
    assert list(rows) == sorted(rows)


@pytest.mark.parametrize(
    ("is_listened_to", "is_called_back", "expected"), [(False, False, 0), (True, False, 3), (False, True, 3)]
)
def test_events_are_skipped_only_while_nobody_wants_any(
    owner: Connection, worker_tx: Connection, key: UUID, *, is_listened_to: bool, is_called_back: bool, expected: int
) -> None:
    made.endpoint(owner, key, enabled=is_listened_to)
    made.ended(owner)
    if is_called_back:
        made.ended(owner, caller=f"key:{key}", callback_url=CALLBACK)
    for _ in range(3 - is_called_back - 1):
        made.ended(owner)
    committed.wait_until_told(owner)
    db.outbox.skip_unwanted(worker_tx)
    worker_tx.commit()
    assert fan_out(owner, worker_tx).events == expected


def test_what_happens_after_a_skip_is_told(owner: Connection, worker_tx: Connection, reader: UUID) -> None:
    made.ended(owner)
    committed.wait_until_told(owner)
    db.outbox.skip_unwanted(worker_tx)
    worker_tx.commit()
    endpoint = made.endpoint(owner, reader)
    owner.commit()
    job = made.ended(owner)
    fan_out(owner, worker_tx)
    assert delivered(owner) == [(job, endpoint)]


def test_events_that_nobody_fans_out_are_overdue_only_if_somebody_waits(
    owner: Connection, worker_tx: Connection, reader: UUID
) -> None:
    made.ended(owner)
    owner.commit()
    assert db.outbox.overdue(worker_tx, 0) == []
    made.endpoint(owner, reader)
    owner.commit()
    [overdue] = db.outbox.overdue(worker_tx, 0)
    assert (overdue.queue, overdue.count) == (Queue.WEBHOOKS, 1)
    assert db.outbox.overdue(worker_tx, 60) == []


def test_the_head_of_each_lane_is_overdue_and_nothing_that_is_under_way_or_waits_for_its_time(
    owner: Connection, worker_tx: Connection, key: UUID
) -> None:
    made.endpoint(owner, key)
    made.endpoint(owner, key)
    for _ in range(3):
        made.ended(owner, caller=f"key:{key}", callback_url=CALLBACK)
    fan_out(owner, worker_tx)
    [overdue] = db.outbox.overdue(worker_tx, 0)
    assert overdue.count == 3
    owner.execute(text("UPDATE webhook_endpoints SET paused_until = now() + interval '1 minute'"))
    assert [one.count for one in db.outbox.overdue(owner, 0)] == [1]
    owner.execute(text("UPDATE webhook_deliveries SET due_at = now() + interval '1 hour'"))
    assert db.outbox.overdue(owner, 0) == []


def test_totals_say_how_long_the_oldest_has_waited(owner: Connection, worker_tx: Connection, key: UUID) -> None:
    assert db.outbox.totals(worker_tx).oldest_due_seconds == 0
    made.endpoint(owner, key)
    made.ended(owner, caller=f"key:{key}")
    fan_out(owner, worker_tx)
    owner.execute(text("UPDATE webhook_deliveries SET due_at = now() - interval '1 hour'"))
    assert db.outbox.totals(owner).oldest_due_seconds == pytest.approx(3_600, abs=60)
    owner.execute(text("UPDATE webhook_deliveries SET due_at = now() + interval '1 hour'"))
    assert db.outbox.totals(owner).oldest_due_seconds == 0


def test_totals_begin_at_nothing_for_each_outcome(worker_tx: Connection) -> None:
    assert db.outbox.totals(worker_tx).by_outcome == {"succeeded": 0, "retried": 0, "failed": 0}


def of_webhooks(event_type: EventType, key_id: UUID, endpoint_id: UUID) -> NewEvent:
    data = {
        EventType.WEBHOOK_TEST: EndpointTest(endpoint_id=endpoint_id),
        EventType.ENDPOINT_DISABLED: DisabledEndpoint(endpoint_id=endpoint_id, url="u", disabled_reason="r"),
    }
    return NewEvent(
        id=uuid7(), type=event_type, occurred_at=made.POSTED_AT, caller=f"key:{key_id}", data=data[event_type]
    )


def fan_out(owner: Connection, worker: Connection, most: int = 1_000) -> FannedOut:
    """Commit what the owner did, and fan out once as the worker does."""
    committed.wait_until_told(owner)
    found = db.outbox.fan_out(worker, most)
    worker.commit()
    return found


def delivered(owner: Connection) -> list[tuple[UUID, UUID]]:
    """Return the deliveries as pairs of job and endpoint."""
    rows = owner.execute(text("SELECT job_id, endpoint_id FROM webhook_deliveries JOIN events ON events.id = event_id"))
    return sorted((row.job_id, row.endpoint_id) for row in rows)


def heard_types(owner: Connection) -> list[str]:
    return sorted(owner.scalars(text("SELECT event_type FROM webhook_deliveries")))
