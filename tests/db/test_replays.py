"""What a replay sends again: a stretch of time, by its event's ids, as far as the endpoint may hear of it."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.events
import db.keys
import db.outbox
import db.replays
import db.webhooks
from db.events import NewEvent
from domain.events import EndpointTest, EventType, first_id
from domain.jobs import JobState, Kind
from domain.replays import Chunk, Size
from tests import made

FIRST, END = UUID(int=0), UUID(int=2**128 - 1)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def fanned_out(tx: Connection) -> None:
    """Let couriers have gone far beyond all that happens here."""
    tx.execute(text("UPDATE webhook_cursor SET xact_id = :xact"), {"xact": 2**62})


@pytest.fixture
def reader(tx: Connection) -> UUID:
    """An API key that reads all jobs."""
    return made.api_key(tx, "jobs:read")


@pytest.fixture
def endpoint(tx: Connection, reader: UUID) -> UUID:
    return made.endpoint(tx, reader)


@pytest.mark.parametrize(
    ("states", "sent_again", "sent_again_if_it_failed"),
    [
        ([], True, True),
        (["pending"], False, False),
        (["succeeded"], True, False),
        (["failed"], True, True),
        (["canceled"], True, True),
        (["failed", "succeeded"], True, False),
        (["failed", "pending"], False, False),
        (["failed", "canceled"], True, True),
    ],
)
@pytest.mark.parametrize("only_failed", [False, True])
def test_what_waits_already_or_has_arrived_decides_what_is_sent_again(
    tx: Connection,
    endpoint: UUID,
    *,
    states: Sequence[str],
    sent_again: bool,
    sent_again_if_it_failed: bool,
    only_failed: bool,
) -> None:
    [event] = events(tx, made.ended(tx))
    for state in states:
        delivered(tx, event, endpoint, state)
    expected = sent_again_if_it_failed if only_failed else sent_again
    assert replay(tx, endpoint, only_failed=only_failed) == Chunk(
        events=1, heard=1, deliveries=int(expected), last_id=event
    )
    assert count(tx) == len(states) + expected


def test_what_another_endpoint_has_heard_makes_no_difference(tx: Connection, reader: UUID, endpoint: UUID) -> None:
    [event] = events(tx, made.ended(tx))
    for state in ("succeeded", "pending"):
        delivered(tx, event, made.endpoint(tx, reader), state)
    assert replay(tx, endpoint, only_failed=True).deliveries == 1


def test_a_callback_that_arrived_makes_no_difference(tx: Connection, reader: UUID, endpoint: UUID) -> None:
    made.called_back(tx, reader)
    tx.execute(text("UPDATE webhook_deliveries SET state = 'succeeded', finished_at = now()"))
    assert replay(tx, endpoint, only_failed=True).deliveries == 1


def test_a_new_endpoint_may_be_told_of_the_time_before_it(tx: Connection, reader: UUID) -> None:
    made.ended(tx)
    assert replay(tx, made.endpoint(tx, reader)).deliveries == 1


def test_only_what_the_endpoint_asked_for_is_sent_again(tx: Connection, reader: UUID) -> None:
    endpoint = made.endpoint(tx, reader, "transfer.*", "wallet.opened")
    made.ended(tx, Kind.TRANSFER_CREATE, JobState.REJECTED)
    made.ended(tx, Kind.WALLET_OPEN)
    made.ended(tx, Kind.DEPOSIT_CREATE, JobState.FAILED)
    chunk = replay(tx, endpoint)
    assert (chunk.events, chunk.deliveries) == (3, 2)
    assert set(tx.scalars(text("SELECT event_type FROM webhook_deliveries"))) == {"transfer.rejected", "wallet.opened"}


def test_another_callers_jobs_stay_unknown_to_a_key_that_does_not_read_them(tx: Connection) -> None:
    key = made.api_key(tx)
    endpoint = made.endpoint(tx, key)
    for caller in (f"key:{key}", f"key:{made.api_key(tx)}", "customer:somebody"):
        made.ended(tx, caller=caller)
    assert replay(tx, endpoint).deliveries == 1
    told = tx.scalar(text("SELECT caller FROM events JOIN webhook_deliveries ON event_id = events.id"))
    assert told == f"key:{key}"


def test_a_test_is_not_sent_again(tx: Connection, reader: UUID, endpoint: UUID) -> None:
    event = NewEvent(
        id=uuid7(),
        type=EventType.WEBHOOK_TEST,
        occurred_at=made.POSTED_AT,
        caller=f"key:{reader}",
        data=EndpointTest(endpoint_id=endpoint),
    )
    db.events.record(tx, event)
    assert replay(tx, endpoint) == Chunk(events=1, heard=0, deliveries=0, last_id=event.id)


@pytest.mark.parametrize("way", ["off", "deleted", "revoked", "expired", "unknown"])
def test_nothing_is_sent_to_who_may_not_or_does_not_want_to_hear(
    tx: Connection, reader: UUID, endpoint: UUID, way: str
) -> None:
    made.ended(tx)
    if way == "off":
        endpoint = made.endpoint(tx, reader, enabled=False)
    elif way == "deleted":
        db.webhooks.delete(tx, endpoint)
    elif way == "revoked":
        db.keys.revoke(tx, reader)
    elif way == "expired":
        tx.execute(text("UPDATE api_keys SET expires_at = now() - interval '1 second'"))
    else:
        endpoint = uuid7()
    assert replay(tx, endpoint).deliveries == 0


def test_a_chunk_ends_where_the_next_one_begins(tx: Connection, endpoint: UUID) -> None:
    told = events(tx, *(made.ended(tx) for _ in range(5)))
    first, sizes = FIRST, []
    for _ in range(4):
        chunk = replay(tx, endpoint, (first, END), events_max=2)
        sizes.append((chunk.events, chunk.deliveries))
        first = first if chunk.last_id is None else UUID(int=chunk.last_id.int + 1)
    assert sizes == [(2, 2), (2, 2), (1, 1), (0, 0)]
    assert list(tx.scalars(text("SELECT event_id FROM webhook_deliveries ORDER BY id"))) == told


@pytest.mark.parametrize(("is_fanned_out", "is_from_before_the_endpoint", "count"), [(0, 0, 0), (1, 0, 1), (0, 1, 1)])
def test_what_will_be_fanned_out_to_the_endpoint_is_not_sent_twice(
    tx: Connection, endpoint: UUID, is_fanned_out: int, *, is_from_before_the_endpoint: int, count: int
) -> None:
    made.ended(tx)
    if not is_fanned_out:
        tx.execute(text("UPDATE webhook_cursor SET xact_id = 0"))
    if is_from_before_the_endpoint:
        tx.execute(text("UPDATE webhook_endpoints SET since_xact_id = :xact"), {"xact": 2**62})
    assert replay(tx, endpoint).deliveries == count


def test_a_span_begins_with_its_first_moment_and_ends_before_its_last(tx: Connection, endpoint: UUID) -> None:
    events(tx, *(made.ended(tx) for _ in range(3)))
    moments = list(tx.scalars(text("SELECT occurred_at FROM events ORDER BY id")))
    spans = {
        (moments[0], moments[2]): 2,
        (moments[0], moments[2] + MICROSECOND): 3,
        (moments[0] + MICROSECOND, moments[2]): 1,
        (moments[2] + MICROSECOND, moments[2] + timedelta(days=1)): 0,
        (moments[2], moments[0]): 0,
    }
    for (begin, end), expected in spans.items():
        span = (first_id(begin), first_id(end))
        size = db.replays.size(tx, endpoint, span, 10)
        assert (size.events, size.heard) == (expected, expected)
        assert replay(tx, endpoint, span, only_failed=True).events == expected


@pytest.mark.parametrize(("most", "expected"), [(0, 0), (2, 2), (3, 3), (4, 3)])
def test_events_are_counted_no_further_than_asked(tx: Connection, endpoint: UUID, most: int, expected: int) -> None:
    told = events(tx, *(made.ended(tx) for _ in range(3)))
    last = told[expected - 1] if expected else None
    assert db.replays.size(tx, endpoint, (FIRST, END), most) == Size(events=expected, heard=expected, last_id=last)


def test_of_events_that_it_may_not_hear_of_a_key_does_not_even_learn_the_number(tx: Connection) -> None:
    modest = made.endpoint(tx, made.api_key(tx))
    told = events(tx, *(made.ended(tx) for _ in range(3)))
    assert db.replays.size(tx, modest, (FIRST, END), 10) == Size(events=3, heard=0, last_id=told[-1])


def replay(
    tx: Connection,
    endpoint: UUID,
    span: tuple[UUID, UUID] = (FIRST, END),
    *,
    only_failed: bool = False,
    events_max: int = 100,
) -> Chunk:
    return db.replays.replay(tx, endpoint, span, only_failed=only_failed, events_max=events_max)


def events(tx: Connection, *jobs: UUID) -> list[UUID]:
    """Return the events of these jobs, in the order of their ids."""
    rows = tx.scalars(
        text("SELECT id FROM events WHERE job_id = ANY(CAST(:jobs AS uuid[])) ORDER BY id"), {"jobs": list(jobs)}
    )
    return list(rows)


def delivered(tx: Connection, event: UUID, endpoint: UUID, state: str) -> None:
    finished = text("UPDATE webhook_deliveries SET state = :state, finished_at = now() WHERE id = :id")
    delivery_id = made.delivery(tx, endpoint, event)
    if state != "pending":
        tx.execute(finished, {"id": delivery_id, "state": state})


def count(tx: Connection) -> int:
    return int(tx.execute(text("SELECT count(*) FROM webhook_deliveries")).scalar_one())
