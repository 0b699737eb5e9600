"""Replays settle by chunks: each one commits with its progress, and what was interrupted goes on where it stood."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec import UNSET
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from uuid_utils.compat import uuid7

import db.events
import db.leases
import db.webhooks
from db.engine import transaction
from db.events import Filter
from domain.jobs import Job, JobState, Kind, Progress, Queue
from domain.replays import Replay
from domain.webhooks import UpdateWebhookEndpoint
from tests import committed, made
from tests.made import submission
from workers import batches, replays

CHUNK = 3
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
# The second chunk is rolled back each time, as by a deadlock.
FAILING = f"""
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT count(*) FROM webhook_deliveries) > {CHUNK} THEN
            RAISE EXCEPTION 'on purpose' USING ERRCODE = '40P01';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER fail AFTER INSERT ON webhook_deliveries FOR EACH STATEMENT EXECUTE FUNCTION fail()
"""  # noqa: S608 - a constant


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "CHUNK_EVENTS", CHUNK)


@pytest.fixture(autouse=True)
def fanned_out(url: str) -> None:
    """Let couriers have gone far beyond all that happens here."""
    committed.execute(url, f"UPDATE webhook_cursor SET xact_id = {2**62}")  # noqa: S608 - a constant


@pytest.fixture
def endpoint(url: str) -> UUID:
    """An endpoint, enabled, that may hear of everything."""
    with transaction(url) as tx:
        return made.endpoint(tx, made.api_key(tx, "*"))


# How far replays of so many events are after each chunk. Whether a full chunk was the last is known after the next.
STEPS = {
    0: [(0, 0)],
    1: [(1, 1)],
    2: [(2, 2)],
    3: [(3, 3), (3, 3)],
    4: [(3, 4), (4, 4)],
    7: [(3, 7), (6, 7), (7, 7)],
    9: [(3, 9), (6, 9), (9, 9), (9, 9)],
}


def test_a_replay_goes_on_by_chunks_and_says_how_far_it_is(url: str, endpoint: UUID) -> None:
    for events, steps in STEPS.items():
        begin, before = datetime.now(UTC), deliveries(url)
        told(url, events)
        job_id = queued(url, endpoint, begin=begin)
        seen = []
        while batches.settle_next(Queue.WEBHOOKS) is not None:
            seen.append(progress(url, job_id))
            assert deliveries(url) - before == min(len(seen) * CHUNK, events)
        assert seen == steps
        assert ended(url, job_id).result == {"events": events, "deliveries": events}


def test_the_count_goes_by_chunks_too(url: str, endpoint: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "COUNT_EVENTS", 2)
    told(url, 5)
    job_id, seen = queued(url, endpoint), []
    while batches.settle_next(Queue.WEBHOOKS) is not None:
        seen.append(progress(url, job_id))
    assert seen == [(0, 2), (0, 4), (3, 5), (5, 5)]
    assert deliveries(url) == 5


def test_a_short_replay_does_not_wait_for_all_that_were_asked_for_before(
    url: str, endpoint: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By lot, one of eleven at a time: that it is not drawn in 300 turns has a chance of less than 1 in 10^12."""
    monkeypatch.setattr(replays, "REPLAYS_AT_ONCE", 1)
    monkeypatch.setattr(replays, "CHUNK_EVENTS", 1)
    told(url, 30)
    for _ in range(10):
        queued(url, endpoint)
    short = queued(url, endpoint, end=BEGINNING + timedelta(seconds=1))
    turns = 0
    while not ended(url, short).is_finished and turns < 300:
        batches.settle_next(Queue.WEBHOOKS)
        turns += 1
    assert turns < 300


# What other releases leave: the one before did not count by parts; what it left out has its first value there.
@pytest.mark.parametrize(
    ("kept", "result"),
    [
        ({"done": 3, "total": 7, "deliveries": 3, "latest_id": 3}, {"events": 7, "deliveries": 7}),
        (
            {"done": 0, "total": 2, "is_counted": False, "counted_id": 2, "latest_id": None},
            {"events": 7, "deliveries": 7},
        ),
    ],
)
def test_a_replay_goes_on_from_what_another_release_left(
    url: str, endpoint: UUID, kept: dict[str, Any], result: dict[str, int]
) -> None:
    told(url, 7)
    ids = [row.id for row in committed.execute(url, "SELECT id FROM events ORDER BY id")]
    places = {name: ids[kept[name] - 1] for name in ("counted_id", "latest_id") if kept.get(name)}
    job_id = queued(url, endpoint)
    with transaction(url) as tx:
        progress = msgspec.json.encode(kept | places).decode()
        tx.execute(text("UPDATE jobs SET progress = :progress WHERE id = :id"), {"progress": progress, "id": job_id})
    batches.drain(Queue.WEBHOOKS)
    assert ended(url, job_id).result == result
    assert deliveries(url) == 7 - kept.get("deliveries", 0)


def test_a_replay_counts_what_its_endpoint_may_hear_of(url: str) -> None:
    with transaction(url) as tx:
        key = made.api_key(tx)
        endpoint = made.endpoint(tx, key, "wallet.opened")
        for caller in (f"key:{key}", made.CALLER, made.CALLER, made.CALLER, f"key:{key}", made.CALLER, made.CALLER):
            made.ended(tx, caller=caller)
            made.ended(tx, Kind.DEPOSIT_CREATE, JobState.REJECTED, caller=caller)
    job_id, seen = queued(url, endpoint), []
    while batches.settle_next(Queue.WEBHOOKS) is not None:
        seen.append(progress(url, job_id))
    assert seen == [(1, 2), (1, 2), (2, 2), (2, 2), (2, 2)]
    assert ended(url, job_id).result == {"events": 2, "deliveries": 2}


def test_a_drain_settles_a_replay_to_its_end_and_jobs_beside_it(url: str, endpoint: UUID) -> None:
    told(url, 7)
    jobs = [queued(url, endpoint), queued(url, endpoint, only_failed=True)]
    assert batches.drain(Queue.WEBHOOKS) == {"succeeded": 2, "rejected": 0}
    assert [ended(url, job_id).result for job_id in jobs] == [
        {"events": 7, "deliveries": 7},
        {"events": 7, "deliveries": 0},  # What waits already is not sent twice.
    ]
    assert deliveries(url) == 7


def test_a_replay_is_no_more_than_its_time(url: str, endpoint: UUID) -> None:
    told(url, 5)
    moments = [row.occurred_at for row in committed.execute(url, "SELECT occurred_at FROM events ORDER BY id")]
    job_id = queued(url, endpoint, begin=moments[1], end=moments[4])
    batches.drain(Queue.WEBHOOKS)
    assert ended(url, job_id).result == {"events": 3, "deliveries": 3}
    replayed = committed.execute(url, "SELECT occurred_at FROM events JOIN webhook_deliveries ON event_id = events.id")
    assert sorted(row.occurred_at for row in replayed) == moments[1:4]


def test_what_happens_meanwhile_is_no_part_of_it(url: str, endpoint: UUID) -> None:
    told(url, 4)
    job_id = queued(url, endpoint)
    batches.settle_next(Queue.WEBHOOKS)
    told(url, 4)
    batches.drain(Queue.WEBHOOKS)
    assert ended(url, job_id).result == {"events": 4, "deliveries": 4}


def test_a_replay_whose_chunk_is_rolled_back_goes_on_from_the_last_commit(url: str, endpoint: UUID) -> None:
    told(url, 7)
    job_id = queued(url, endpoint)
    committed.execute(url, FAILING)
    assert batches.settle_next(Queue.WEBHOOKS) == []
    with pytest.raises(DBAPIError):
        batches.settle_next(Queue.WEBHOOKS)
    assert (progress(url, job_id), deliveries(url)) == ((3, 7), 3)
    committed.execute(url, "DROP TRIGGER fail ON webhook_deliveries")
    batches.drain(Queue.WEBHOOKS)
    assert ended(url, job_id).result == {"events": 7, "deliveries": 7}
    assert deliveries(url) == 7


def test_a_replay_that_fails_says_how_far_it_came_and_so_does_its_event(url: str, endpoint: UUID) -> None:
    told(url, 7)
    job_id, lease_id = queued(url, endpoint), uuid7()
    batches.settle_next(Queue.WEBHOOKS)
    committed.execute(url, "UPDATE jobs SET attempts = 7 WHERE state = 'queued'")
    with transaction(url) as tx:
        db.leases.take(tx, lease_id, [job_id], 7)
        batches.count_attempt(tx, lease_id)
    job = ended(url, job_id)
    assert (job.state, job.progress) == (JobState.FAILED, Progress(done=3, total=7))
    assert told_of(url, job_id) == [msgspec.json.encode(job)]


@pytest.mark.parametrize(
    ("way", "code"),
    [("deleted", "endpoint_not_found"), ("off", "endpoint_disabled"), ("too much", "replay_too_large")],
)
def test_a_replay_that_the_rules_refuse_sends_nothing(
    url: str, endpoint: UUID, monkeypatch: pytest.MonkeyPatch, way: str, *, code: str
) -> None:
    told(url, 5)
    job_id = queued(url, endpoint)
    with transaction(url) as tx:
        if way == "deleted":
            db.webhooks.delete(tx, endpoint)
        elif way == "off":
            db.webhooks.update(tx, endpoint, UpdateWebhookEndpoint(enabled=False))
        else:
            monkeypatch.setattr(replays, "REPLAY_EVENTS_MAX", 4)
    assert batches.drain(Queue.WEBHOOKS) == {"succeeded": 0, "rejected": 1}
    job = ended(url, job_id)
    assert job.error is not None
    assert (job.error.code, job.progress, deliveries(url)) == (code, UNSET, 0)


def test_as_much_as_is_allowed_is_replayed(url: str, endpoint: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "REPLAY_EVENTS_MAX", 5)
    told(url, 5)
    job_id = queued(url, endpoint)
    batches.drain(Queue.WEBHOOKS)
    assert ended(url, job_id).result == {"events": 5, "deliveries": 5}


@pytest.mark.parametrize("way", ["deleted", "off"])
def test_an_endpoint_that_ends_between_two_chunks_ends_its_replay(url: str, endpoint: UUID, way: str) -> None:
    told(url, 7)
    job_id = queued(url, endpoint)
    batches.settle_next(Queue.WEBHOOKS)
    with transaction(url) as tx:
        if way == "deleted":
            db.webhooks.delete(tx, endpoint)
        else:
            db.webhooks.update(tx, endpoint, UpdateWebhookEndpoint(enabled=False))
    batches.drain(Queue.WEBHOOKS)
    assert ended(url, job_id).state is JobState.REJECTED
    assert deliveries(url, "pending") == 0


def test_a_replay_that_its_caller_takes_back_between_two_chunks_sends_no_more(url: str, endpoint: UUID) -> None:
    told(url, 7)
    job_id = queued(url, endpoint)
    batches.settle_next(Queue.WEBHOOKS)
    committed.execute(url, f"SELECT cancel_job('{job_id}')")
    batches.drain(Queue.WEBHOOKS)
    job = ended(url, job_id)
    assert (job.state, job.progress, deliveries(url)) == (JobState.CANCELED, Progress(done=3, total=7), 3)


def told(url: str, events: int) -> None:
    with transaction(url) as tx:
        for _ in range(events):
            made.ended(tx)


def queued(url: str, endpoint: UUID, **wanted: Any) -> UUID:
    """Queue a replay, of everything until now unless a time is given."""
    plain: dict[str, Any] = {"begin": BEGINNING, "end": datetime.now(UTC), "only_failed": False}
    [job_id] = committed.queued(url, submission(Kind.WEBHOOK_REPLAY, Replay(endpoint_id=endpoint, **(plain | wanted))))
    return job_id


def ended(url: str, job_id: UUID) -> Job:
    [job] = committed.jobs(url, [job_id])
    return job


def progress(url: str, job_id: UUID) -> tuple[int, int]:
    found = ended(url, job_id).progress
    assert found is not UNSET
    return found.done, found.total


def deliveries(url: str, *states: str) -> int:
    rows = committed.execute(url, "SELECT state FROM webhook_deliveries")
    return sum(row.state in states or not states for row in rows)


def told_of(url: str, job_id: UUID) -> list[bytes]:
    """Return what the events of a job say of it."""
    with transaction(url) as tx:
        ids = tx.scalars(text("SELECT id FROM events WHERE job_id = :id"), {"id": job_id}).all()
        found = [db.events.find(tx, event_id, Filter()) for event_id in ids]
    return [msgspec.json.encode(event.data) for event in found if event is not None]
