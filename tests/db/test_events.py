"""Events as PostgreSQL writes them: one for each end, with it or not at all, and true for ever.

What a reader sees of them, and when, stands in `test_events_at_once`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import RFC_4122, UUID

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, Row, text
from uuid_utils.compat import uuid7

import db.events
import db.jobs
import db.leases
from db.events import Filter, NewEvent
from domain.errors import Rejection
from domain.events import EndpointTest, Event, EventType, first_id, types_of
from domain.jobs import JobState, Kind, Outcome, rejected, succeeded
from domain.replays import ReplayProgress
from domain.transactions import Movement
from tests import made
from tests.databases import refused_by

ENDS = [JobState.SUCCEEDED, JobState.REJECTED, JobState.FAILED, JobState.CANCELED]
MICROSECOND = timedelta(microseconds=1)
RANDOM_BITS = (1 << 62) - 1
KEY = "key:00000000-0000-7000-8000-000000000000"


@pytest.mark.parametrize("state", ENDS)
@pytest.mark.parametrize("kind", list(Kind))
def test_each_end_of_each_kind_is_told_as_the_rules_say(tx: Connection, kind: Kind, state: JobState) -> None:
    job_id = made.ended(tx, kind, state)
    assert told_types(tx, job_id) == types_of(kind, state)


@pytest.mark.parametrize(
    "outcome",
    [
        succeeded(UUID(int=0), customer_id=UUID(int=0)),
        succeeded(UUID(int=0), customer_id=UUID(int=0), wallet_id=UUID(int=1), wallet_number="1"),
        rejected(UUID(int=0), Rejection.EMAIL_TAKEN),
    ],
)
def test_a_registration_is_told_with_the_wallet_that_it_opened(tx: Connection, outcome: Outcome) -> None:
    job_id = made.job(tx, Kind.CUSTOMER_REGISTER, made.registration())
    db.jobs.finish(tx, [replace(outcome, job_id=job_id)])
    has_wallet = "wallet_id" in (outcome.result or {})
    assert told_types(tx, job_id) == sorted(types_of(Kind.CUSTOMER_REGISTER, outcome.state, with_wallet=has_wallet))


def test_an_event_says_whose_job_ended_and_when(tx: Connection) -> None:
    job_id = made.ended(tx, caller=KEY, callback_url="https://example.rw/back")
    [row] = rows(tx, job_id)
    job = found(tx, job_id)
    assert (row.caller, row.callback_url, row.occurred_at) == (KEY, "https://example.rw/back", job.finished_at)
    assert row.xact_id == tx.scalar(text("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)"))


def test_a_customer_is_told_of_before_their_first_wallet(tx: Connection) -> None:
    ids = [made.job(tx, Kind.CUSTOMER_REGISTER, {}) for _ in range(10)]
    db.jobs.finish(tx, [succeeded(job_id, customer_id=job_id, wallet_id=job_id) for job_id in ids])
    for job_id in ids:
        in_order = tx.scalars(text("SELECT type FROM events WHERE job_id = :id ORDER BY id"), {"id": job_id}).all()
        assert in_order == types_of(Kind.CUSTOMER_REGISTER, JobState.SUCCEEDED, with_wallet=True)


def test_a_callback_is_told_of_a_registration_once(tx: Connection) -> None:
    job_id = made.job(tx, Kind.CUSTOMER_REGISTER, {}, caller=KEY, callback_url="https://example.rw/back")
    db.jobs.finish(tx, [succeeded(job_id, customer_id=job_id, wallet_id=job_id)])
    urls = {row.type: row.callback_url for row in rows(tx, job_id)}
    assert urls == {"customer.registered": "https://example.rw/back", "wallet.opened": None}


def test_an_events_id_is_a_uuid_of_the_microsecond_in_which_it_happened(tx: Connection) -> None:
    for state in ENDS:
        [row] = rows(tx, made.ended(tx, state=state))
        assert first_id(row.occurred_at) <= row.id < first_id(row.occurred_at + MICROSECOND)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2026, 11, 23, 12, 30, 15, 999_999, tzinfo=UTC),
        datetime(2026, 11, 23, 12, 30, 15, 1, tzinfo=UTC),
        datetime(2199, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
def test_the_database_makes_ids_as_the_domain_does(tx: Connection, moment: datetime) -> None:
    random = uuid7()
    made_id = tx.execute(text("SELECT uuid7(:at, :random)"), {"at": moment, "random": random}).scalar_one()
    assert (made_id.int & ~RANDOM_BITS) == first_id(moment).int
    assert (made_id.int & RANDOM_BITS) == (random.int & RANDOM_BITS)


@pytest.mark.parametrize("seed", [0, 2**128 - 1, 2**63, 2**62, 12_345])
def test_the_database_makes_version_7_of_any_seed(tx: Connection, seed: int) -> None:
    made_id = tx.execute(text("SELECT uuid7(now(), :seed)"), {"seed": UUID(int=seed)}).scalar_one()
    assert (made_id.version, made_id.variant) == (7, RFC_4122)
    assert (made_id.int & RANDOM_BITS) == (seed & RANDOM_BITS)


@pytest.mark.parametrize("kind", [Kind.WALLET_OPEN, Kind.DEPOSIT_CREATE])
def test_an_events_id_says_nothing_of_its_jobs(tx: Connection, kind: Kind) -> None:
    job_id = made.ended(tx, kind, JobState.REJECTED)
    event_id = tx.execute(text("SELECT id FROM events WHERE job_id = :id"), {"id": job_id}).scalar_one()
    assert (event_id.int & RANDOM_BITS) != (job_id.int & RANDOM_BITS)
    assert (event_id.version, event_id.variant) == (7, RFC_4122)


def test_jobs_that_end_together_are_told_once_each(tx: Connection) -> None:
    ids = [made.job(tx, Kind.WALLET_OPEN) for _ in range(5)]
    outcomes = [made.outcome(job_id, JobState.REJECTED) for job_id in ids[:4]]
    for _ in range(2):
        db.jobs.finish(tx, outcomes)
        db.jobs.cancel(tx, ids[0])
    assert tx.scalars(text("SELECT job_id FROM events ORDER BY job_id")).all() == ids[:4]


def test_an_event_is_rolled_back_with_the_end_of_its_job(tx: Connection) -> None:
    job_id = made.job(tx)
    savepoint = tx.begin_nested()
    db.jobs.finish(tx, [made.outcome(job_id, JobState.REJECTED)])
    assert told_types(tx, job_id) == ["deposit.rejected"]
    savepoint.rollback()
    assert told_types(tx, job_id) == []


def test_nothing_is_told_of_a_job_that_goes_on(tx: Connection) -> None:
    job_id, lease_id = made.job(tx, Kind.WEBHOOK_REPLAY), uuid7()
    db.jobs.defer(tx, [job_id], 5)
    db.jobs.advance(tx, job_id, ReplayProgress(done=1, total=2))
    db.leases.take(tx, lease_id, [job_id], 0)
    db.leases.count_attempt(tx, lease_id)
    db.jobs.finish(tx, [])
    assert told_types(tx, job_id) == []


def test_a_job_that_is_requeued_is_told_again_only_when_it_ends_again(tx: Connection) -> None:
    job_id = made.ended(tx, Kind.DEPOSIT_CREATE, JobState.FAILED)
    db.jobs.requeue(tx, [job_id])
    assert told_types(tx, job_id) == ["deposit.failed"]
    db.jobs.finish(tx, [made.outcome(job_id, JobState.FAILED)])
    db.jobs.requeue(tx, None)
    db.jobs.cancel(tx, job_id)
    assert told_types(tx, job_id) == ["deposit.canceled", "deposit.failed", "deposit.failed"]


@pytest.mark.parametrize("progress", [None, ReplayProgress(done=1, total=2, latest_id=UUID(int=1))])
def test_a_failed_event_shows_the_job_as_it_was_whatever_became_of_it(
    tx: Connection, progress: ReplayProgress | None
) -> None:
    job_id = made.job(tx, Kind.WEBHOOK_REPLAY)
    if progress is not None:
        db.jobs.advance(tx, job_id, progress)
    db.jobs.finish(tx, [made.outcome(job_id, JobState.FAILED)])
    failed = encoded(found(tx, job_id))
    db.jobs.requeue(tx, [job_id])
    db.jobs.finish(tx, [succeeded(job_id, events=2, deliveries=2)])
    data = {event.type: encoded(event.data) for event in told(tx, job_id)}
    assert data == {"job.failed": failed, "job.succeeded": encoded(found(tx, job_id))}


@pytest.mark.parametrize("state", ENDS)
@pytest.mark.parametrize("kind", list(Kind))
def test_an_event_says_of_a_job_what_get_says_to_the_byte(tx: Connection, kind: Kind, state: JobState) -> None:
    job_id = made.ended(tx, kind, state)
    [event] = told(tx, job_id)
    assert encoded(event.data) == encoded(found(tx, job_id))
    assert event.timestamp == found(tx, job_id).finished_at


def test_an_event_of_webhooks_says_what_it_was_given(tx: Connection) -> None:
    moment = datetime(2026, 11, 23, 12, 30, 15, 1, tzinfo=UTC)
    new = made_event(moment)
    db.events.record(tx, new)
    expected = Event(
        id=new.id,
        type=EventType.WEBHOOK_TEST,
        timestamp=moment,
        data={"endpoint_id": str(UUID(int=1)), "message": "This is a test."},
        sequences=[],
    )
    assert db.events.find(tx, new.id, Filter()) == expected


OPERATOR, OWNER, READER, STRANGER = (
    Filter(),
    Filter(subject=KEY),
    Filter(subject="key:reader", all_jobs=True),
    Filter(subject="key:stranger"),
)


@pytest.mark.parametrize(
    ("reader", "sees_job", "sees_endpoint"),
    [(OPERATOR, True, True), (OWNER, True, True), (READER, True, False), (STRANGER, False, False)],
)
def test_an_event_is_found_by_who_may_read_it(
    tx: Connection, reader: Filter, *, sees_job: bool, sees_endpoint: bool
) -> None:
    [of_job], of_endpoint = told(tx, made.ended(tx, caller=KEY)), made_event()
    db.events.record(tx, of_endpoint)
    found = [db.events.find(tx, event_id, reader) is not None for event_id in (of_job.id, of_endpoint.id, uuid7())]
    assert found == [sees_job, sees_endpoint, False]


def test_a_movement_says_its_place_in_the_history_of_each_wallet(tx: Connection) -> None:
    source, destination = made.wallet(tx), made.wallet(tx)
    jobs = [
        made.deposit(tx, source, 5_00),
        made.transfer(tx, source, destination, 2_00),
        made.withdrawal(tx, source, 1_00),
        made.transfer(tx, destination, source, 1_00),
    ]
    assert [places(tx, job_id) for job_id in jobs] == [
        [(source, 1)],
        [(source, 2), (destination, 1)],
        [(source, 3)],
        [(destination, 2), (source, 4)],
    ]


@pytest.mark.parametrize("seed", range(3))
def test_whoever_follows_a_wallet_by_its_events_sees_every_entry_once(tx: Connection, seed: int) -> None:
    random, wallets = Random(seed), [made.wallet(tx) for _ in range(3)]  # noqa: S311 - which movements
    moves: list[Callable[[UUID, UUID, int], UUID]] = [
        lambda source, _, amount: made.deposit(tx, source, amount),
        lambda source, _, amount: made.withdrawal(tx, source, amount),
        lambda source, destination, amount: made.transfer(tx, source, destination, amount),
    ]
    jobs = [made.deposit(tx, wallet, 100_00) for wallet in wallets]
    for _ in range(20):
        source, destination = random.sample(wallets, 2)
        amount = random.choice([1_00, 2_00, 500_00])
        jobs.append(random.choice(moves)(source, destination, amount))
    heard = [place for job_id in jobs for place in places(tx, job_id)]
    posted = tx.execute(
        text("SELECT wallet_id, sequence FROM entries WHERE wallet_id = ANY(CAST(:wallets AS uuid[]))"),
        {"wallets": wallets},
    )
    assert sorted(heard) == sorted(map(tuple, posted))
    for wallet in wallets:
        numbers = [number for wallet_id, number in heard if wallet_id == wallet]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_movement_that_did_not_happen_has_no_place(tx: Connection) -> None:
    movement = Movement(amount=1, currency="RWF", source_wallet_id=made.wallet(tx))
    refused = made.settled(tx, Kind.WITHDRAWAL_CREATE, movement)
    assert refused.state is JobState.REJECTED
    assert places(tx, refused.job_id) == []


def test_a_failure_has_no_place_although_the_movement_happened_later(tx: Connection) -> None:
    wallet = made.wallet(tx)
    job_id = made.deposit(tx, wallet, 5_00)
    failed = {"id": uuid7(), "job": job_id, "data": encoded(found(tx, job_id))}
    tx.execute(INVENTED, failed)
    sequences = {event.type: event.sequences for event in told(tx, job_id)}
    assert sequences[EventType.DEPOSIT_FAILED] == []
    assert [one.sequence for one in sequences[EventType.DEPOSIT_SUCCEEDED]] == [1]


INVENTED = text("""
    INSERT INTO events (id, type, occurred_at, job_id, caller, data)
    VALUES (:id, 'deposit.failed', now(), :job, 'c', CAST(:data AS jsonb))
""")


@pytest.mark.parametrize("role", ["tx", "api_tx", "worker_tx"])
@pytest.mark.parametrize("name", [one for one in EventType if not one.startswith("webhook")])
def test_no_role_tells_what_only_a_job_can_tell(request: pytest.FixtureRequest, role: str, name: EventType) -> None:
    connection: Connection = request.getfixturevalue(role)
    with refused_by("events_told_by_a_job_or_by_webhooks"):
        db.events.record(connection, replace(made_event(), type=name))


@pytest.mark.parametrize("role", ["api_tx", "worker_tx"])
def test_either_role_tells_what_happens_to_webhooks(request: pytest.FixtureRequest, role: str) -> None:
    connection: Connection = request.getfixturevalue(role)
    new = [made_event(), made_event()]
    db.events.record(connection, *new)
    assert [db.events.find(connection, one.id, Filter()) is not None for one in new] == [True, True]


def made_event(moment: datetime = made.POSTED_AT) -> NewEvent:
    return NewEvent(
        id=uuid7(),
        type=EventType.WEBHOOK_TEST,
        occurred_at=moment,
        caller=KEY,
        data=EndpointTest(endpoint_id=UUID(int=1)),
    )


def rows(tx: Connection, job_id: UUID) -> Sequence[Row[Any]]:
    return tx.execute(text("SELECT * FROM events WHERE job_id = :id ORDER BY type"), {"id": job_id}).all()


def told_types(tx: Connection, job_id: UUID) -> list[str]:
    return [row.type for row in rows(tx, job_id)]


def told(tx: Connection, job_id: UUID) -> list[Event]:
    events = [db.events.find(tx, row.id, Filter()) for row in rows(tx, job_id)]
    return [event for event in events if event is not None]


def places(tx: Connection, job_id: UUID) -> list[tuple[UUID, int]]:
    """Return the wallets and sequence numbers of a movement's only event."""
    [event] = told(tx, job_id)
    return [(one.wallet_id, one.sequence) for one in event.sequences]


def found(tx: Connection, job_id: UUID) -> Any:
    stored = db.jobs.find(tx, job_id)
    assert stored is not None
    return stored.job


def encoded(data: object) -> str:
    return msgspec.json.encode(data).decode()
