"""Accept once, claim in order, finish once, requeue, list: one connection at a time (see `test_jobs_at_once`)."""

from collections.abc import Callable, Sequence
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.jobs
import db.turns
from db.jobs import Filter, Overdue
from domain.errors import Rejection
from domain.jobs import ATTEMPTS_EXHAUSTED, Claimed, JobState, Kind, Outcome, Queue, rejected, succeeded
from tests import made
from tests.databases import refused_by
from tests.made import CALLER, submission

DEPOSITS = Queue.TRANSACTIONS


def claim_oldest(tx: Connection) -> list[Claimed]:
    return db.jobs.claim(tx, DEPOSITS, 10)


def claim_in_turn(tx: Connection) -> list[Claimed]:
    return db.turns.claim(tx, DEPOSITS, 10).batch


def test_a_new_job_is_queued_under_its_caller_and_key(tx: Connection) -> None:
    one = submission(key="k")
    stored = db.jobs.stage(tx, [one])[CALLER, "k"]
    assert (stored.job.id, stored.job.state, stored.fingerprint) == (one.id, JobState.QUEUED, one.fingerprint)
    assert db.jobs.find(tx, one.id) == stored


def test_the_same_key_is_the_same_job_again(tx: Connection) -> None:
    first, second = submission(key="k"), submission(key="k")
    db.jobs.stage(tx, [first])
    assert db.jobs.stage(tx, [second])[CALLER, "k"].job.id == first.id
    assert db.jobs.find(tx, second.id) is None


def test_the_same_key_twice_in_one_statement_is_one_job(tx: Connection) -> None:
    twins = [submission(key="k"), submission(key="k"), submission(key="other")]
    stored = db.jobs.stage(tx, twins)
    assert set(stored) == {(CALLER, "k"), (CALLER, "other")}
    assert tx.scalar(text("SELECT count(*) FROM jobs")) == 2


def test_a_key_belongs_to_its_caller(tx: Connection) -> None:
    stored = db.jobs.stage(tx, [submission(caller="a", key="k"), submission(caller="b", key="k")])
    assert stored["a", "k"].job.id != stored["b", "k"].job.id


def test_a_repetition_sees_the_first_fingerprint_and_how_the_job_stands(tx: Connection) -> None:
    first = submission(key="k")
    db.jobs.stage(tx, [first])
    db.jobs.finish(tx, [succeeded(first.id, transaction_id=first.id)])
    stored = db.jobs.stage(tx, [replace(submission(key="k"), fingerprint=b"other body")])[CALLER, "k"]
    assert (stored.fingerprint, stored.job.state) == (first.fingerprint, JobState.SUCCEEDED)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_job_waits_in_the_queue_of_its_kind(tx: Connection, kind: Kind) -> None:
    job_id = made.job(tx, kind)
    claimed = {queue: [job.id for job in db.jobs.claim(tx, queue, 10)] for queue in Queue}
    assert {queue: ids for queue, ids in claimed.items() if ids} == {made.queue_of(kind): [job_id]}


def test_a_claim_returns_what_was_staged_in_order_of_arrival(tx: Connection) -> None:
    first, second = submission(payload={"amount": 1}), submission(payload={"amount": 2})
    db.jobs.stage(tx, [second, first])
    claimed = db.jobs.claim(tx, DEPOSITS, 10)
    assert [(job.id, job.payload) for job in claimed] == [(first.id, b'{"amount": 1}'), (second.id, b'{"amount": 2}')]
    assert {(job.kind, job.caller) for job in claimed} == {(Kind.DEPOSIT_CREATE, CALLER)}


@pytest.mark.parametrize("claim", [claim_oldest, claim_in_turn])
def test_a_claim_says_how_often_its_jobs_were_tried(
    tx: Connection, claim: Callable[[Connection], list[Claimed]]
) -> None:
    made.job(tx)
    tx.execute(text("UPDATE jobs SET attempts = 2"))
    assert [job.attempts for job in claim(tx)] == [2]


@pytest.mark.parametrize("claim", [claim_oldest, claim_in_turn])
@pytest.mark.parametrize("is_enabled", [True, False])
def test_all_jobs_have_a_listener_as_long_as_an_endpoint_is_on(
    tx: Connection, claim: Callable[[Connection], list[Claimed]], is_enabled: object
) -> None:
    made.endpoint(tx, made.api_key(tx, "jobs:read"), enabled=bool(is_enabled))
    made.job(tx)
    assert [job.has_listener for job in claim(tx)] == [is_enabled]


@pytest.mark.parametrize("claim", [claim_oldest, claim_in_turn])
def test_a_job_with_a_callback_has_a_listener_where_nobody_else_listens(
    tx: Connection, claim: Callable[[Connection], list[Claimed]]
) -> None:
    db.jobs.stage(tx, [replace(submission(), callback_url=made.ENDPOINT_URL), submission()])
    assert [job.has_listener for job in claim(tx)] == [True, False]


def test_a_claim_takes_no_more_than_the_batch_may_hold(tx: Connection) -> None:
    ids = [made.job(tx) for _ in range(3)]
    assert claimed_ids(tx, batch_max=2) == ids[:2]


def test_a_claim_leaves_jobs_that_are_not_due_or_have_ended(tx: Connection) -> None:
    later, ended, due = made.job(tx), made.job(tx), made.job(tx)
    tx.execute(text("UPDATE jobs SET due_at = now() + interval '1 second' WHERE id = :id"), {"id": later})
    db.jobs.finish(tx, [rejected(ended, Rejection.SOURCE_NOT_FOUND)])
    assert claimed_ids(tx) == [due]


def test_a_job_is_claimed_and_rung_for_though_the_servers_clock_was_set_back_since_it_came(tx: Connection) -> None:
    job_id = made.job(tx)
    tx.execute(text("UPDATE jobs SET created_at = now() + interval '1 hour', due_at = now() + interval '1 hour'"))
    assert db.jobs.overdue(tx, 4) == [Overdue(queue=DEPOSITS, count=1, first_id=job_id)]
    assert [job.id for job in db.turns.claim(tx, DEPOSITS, 10).batch] == [job_id]
    assert claimed_ids(tx) == [job_id]


@pytest.mark.parametrize(("attempts", "expected"), [(0, 1_200), (1, 120), (2, 12), (3, 1), (4, 1), (7, 1)])
def test_the_more_often_jobs_failed_the_fewer_share_a_batch(tx: Connection, attempts: int, expected: int) -> None:
    db.jobs.stage(tx, [submission() for _ in range(1_201)])
    tx.execute(text("UPDATE jobs SET attempts = :attempts"), {"attempts": attempts})
    assert len(claimed_ids(tx, batch_max=1_200)) == expected


def test_jobs_that_failed_never_share_a_batch_with_new_ones(tx: Connection) -> None:
    failed, new, failed_too = made.job(tx), made.job(tx), made.job(tx)
    tx.execute(text("UPDATE jobs SET attempts = 2 WHERE id <> :id"), {"id": new})
    assert claimed_ids(tx) == [failed, failed_too]


def test_a_kind_that_only_a_newer_release_knows_is_left_to_it(tx: Connection) -> None:
    unknown, known = made.job(tx), made.job(tx)
    tx.execute(text("UPDATE jobs SET kind = 'deposit.reverse' WHERE id = :id"), {"id": unknown})
    assert claimed_ids(tx) == [known]


OUTCOMES = [
    succeeded(UUID(int=0), transaction_id="t"),
    rejected(UUID(int=0), Rejection.INSUFFICIENT_FUNDS),
    Outcome(job_id=UUID(int=0), state=JobState.FAILED, error=ATTEMPTS_EXHAUSTED),
]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_finished_job_says_how_it_ended(tx: Connection, outcome: Outcome) -> None:
    job_id = made.job(tx)
    assert db.jobs.finish(tx, [replace(outcome, job_id=job_id)]) == [job_id]
    job = found(tx, job_id).job
    assert (job.state, job.result, job.error) == (outcome.state, outcome.result, outcome.error)
    assert job.finished_at is not None


@pytest.mark.parametrize("plan", ["enable_nestloop", "enable_hashjoin"])
def test_jobs_end_in_the_order_of_their_outcomes(tx: Connection, plan: str) -> None:
    ids = [made.job(tx, Kind.WALLET_FREEZE) for _ in range(5)]
    in_order = [ids[place] for place in (3, 0, 4, 2, 1)]
    tx.execute(text(f"SET LOCAL {plan} = off"))
    db.jobs.finish(tx, [succeeded(job_id, wallet_id=job_id, state="frozen") for job_id in in_order])
    assert list(tx.scalars(text("SELECT id FROM jobs ORDER BY finished_at"))) == in_order
    assert list(tx.scalars(text("SELECT job_id FROM events ORDER BY id"))) == in_order


@pytest.mark.parametrize("first", OUTCOMES)
@pytest.mark.parametrize("second", OUTCOMES)
def test_a_finished_job_never_changes_again(tx: Connection, first: Outcome, second: Outcome) -> None:
    job_id = made.job(tx)
    db.jobs.finish(tx, [replace(first, job_id=job_id)])
    before = found(tx, job_id)
    assert db.jobs.finish(tx, [replace(second, job_id=job_id)]) == []
    assert not db.jobs.cancel(tx, job_id)
    assert found(tx, job_id) == before


@pytest.mark.parametrize(("outcome", "is_emptied"), [(OUTCOMES[0], True), (OUTCOMES[1], True), (OUTCOMES[2], False)])
def test_a_registration_that_has_ended_for_good_keeps_no_personal_data(
    tx: Connection, outcome: Outcome, is_emptied: object
) -> None:
    job_id = made.job(tx, Kind.CUSTOMER_REGISTER, made.registration())
    db.jobs.finish(tx, [replace(outcome, job_id=job_id)])
    assert (payload(tx, job_id) == {}) is is_emptied


def test_a_registration_that_was_canceled_keeps_no_personal_data(tx: Connection) -> None:
    job_id = made.job(tx, Kind.CUSTOMER_REGISTER, made.registration())
    db.jobs.cancel(tx, job_id)
    assert payload(tx, job_id) == {}


def test_what_a_money_job_was_asked_to_do_stays_readable(tx: Connection) -> None:
    ended, canceled = made.job(tx, payload={"amount": 5_00}), made.job(tx, payload={"amount": 5_00})
    db.jobs.finish(tx, [succeeded(ended, transaction_id=ended)])
    db.jobs.cancel(tx, canceled)
    assert [payload(tx, job_id) for job_id in (ended, canceled)] == [{"amount": 5_00}] * 2


def test_a_queued_job_can_be_taken_back_once(tx: Connection) -> None:
    job_id = made.job(tx)
    assert [db.jobs.cancel(tx, job_id) for _ in range(2)] == [True, False]
    assert found(tx, job_id).job.state is JobState.CANCELED
    assert claimed_ids(tx) == []


def test_a_job_that_does_not_exist_cannot_be_taken_back(tx: Connection) -> None:
    assert not db.jobs.cancel(tx, uuid7())


def test_only_failed_jobs_are_requeued_and_begin_anew(tx: Connection) -> None:
    failed, rejected_job, queued = made.job(tx), made.job(tx), made.job(tx)
    tx.execute(text("UPDATE jobs SET attempts = 8, due_at = now() + interval '1 hour' WHERE id = :id"), {"id": failed})
    db.jobs.finish(tx, [replace(OUTCOMES[2], job_id=failed), replace(OUTCOMES[1], job_id=rejected_job)])
    assert db.jobs.requeue(tx, [failed, rejected_job, queued]) == [failed]
    assert found(tx, failed).job.state is JobState.QUEUED
    assert claimed_ids(tx) == [failed, queued]


def test_all_failed_jobs_are_requeued_at_once_or_only_the_named(tx: Connection) -> None:
    ids = [made.job(tx) for _ in range(3)]
    db.jobs.finish(tx, [replace(OUTCOMES[2], job_id=job_id) for job_id in ids])
    assert db.jobs.requeue(tx, []) == []
    assert db.jobs.requeue(tx, ids[:1]) == ids[:1]
    assert set(db.jobs.requeue(tx, None)) == set(ids[1:])


def test_finished_jobs_are_found_among_those_asked_for(tx: Connection) -> None:
    ended, queued, other = made.job(tx), made.job(tx), made.job(tx)
    db.jobs.finish(tx, [succeeded(job_id, transaction_id=job_id) for job_id in (ended, other)])
    assert [job.id for job in db.jobs.find_finished(tx, [ended, queued, uuid7()])] == [ended]


def test_a_page_is_newest_first_and_goes_on_where_the_last_one_ended(tx: Connection) -> None:
    ids = [made.job(tx) for _ in range(5)]
    first = page_ids(tx, Filter(), None, 2)
    made.job(tx)
    assert first == [ids[4], ids[3]]
    assert page_ids(tx, Filter(), first[-1], 2) == [ids[2], ids[1]]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), [3, 2, 1, 0]),
        (Filter(caller="b"), [2]),
        (Filter(kind=Kind.WALLET_OPEN), [3]),
        (Filter(state=JobState.QUEUED), [3, 2, 1]),
        (Filter(state=JobState.SUCCEEDED, caller="a"), [0]),
        (Filter(state=JobState.FAILED), []),
    ],
)
def test_a_page_is_narrowed_by_caller_kind_and_state(tx: Connection, wanted: Filter, expected: Sequence[int]) -> None:
    ids = [
        made.job(tx, caller="a"),
        made.job(tx, caller="a"),
        made.job(tx, caller="b"),
        made.job(tx, Kind.WALLET_OPEN, caller="a"),
    ]
    db.jobs.finish(tx, [succeeded(ids[0], transaction_id=ids[0])])
    assert page_ids(tx, wanted, None, 10) == [ids[place] for place in expected]


@pytest.mark.parametrize("state", ["queued", "failed", "succeeded"])
def test_a_finished_job_cannot_be_changed_by_anyone(tx: Connection, state: str) -> None:
    ended = made.job(tx)
    db.jobs.finish(tx, [succeeded(ended, transaction_id=ended)])
    with refused_by("jobs_finished_is_final"):
        tx.execute(text("UPDATE jobs SET state = :state WHERE id = :id"), {"state": state, "id": ended})


def test_overdue_jobs_are_counted_by_queue_with_the_oldest_first(tx: Connection) -> None:
    late = [made.job(tx), made.job(tx)]
    made.job(tx, Kind.WALLET_OPEN)
    ended = made.job(tx)
    db.jobs.finish(tx, [succeeded(ended, transaction_id=ended)])
    tx.execute(
        text("UPDATE jobs SET due_at = now() - interval '5 seconds' WHERE state = 'queued' AND queue = 'transactions'")
    )
    assert db.jobs.overdue(tx, 4) == [Overdue(queue=DEPOSITS, count=2, first_id=late[0])]
    assert db.jobs.overdue(tx, 6) == []


def test_open_jobs_are_counted_by_caller_up_to_a_bound(tx: Connection) -> None:
    ended, *_ = [made.job(tx, caller="a") for _ in range(4)]
    made.job(tx, caller="b")
    db.jobs.finish(tx, [succeeded(ended, transaction_id=ended)])
    assert db.jobs.open_counts(tx, ["a", "b", "c"], 10) == {"a": 3, "b": 1, "c": 0}
    assert db.jobs.open_counts(tx, ["a"], 2) == {"a": 2}


def claimed_ids(tx: Connection, batch_max: int = 1_000) -> list[UUID]:
    return [job.id for job in db.jobs.claim(tx, DEPOSITS, batch_max)]


def page_ids(tx: Connection, wanted: Filter, before: UUID | None, limit: int) -> list[UUID]:
    return [job.id for job in db.jobs.page(tx, wanted, before, limit)]


def found(tx: Connection, job_id: UUID) -> db.jobs.Stored:
    stored = db.jobs.find(tx, job_id)
    assert stored is not None
    return stored


def payload(tx: Connection, job_id: UUID) -> object:
    return tx.scalar(text("SELECT payload FROM jobs WHERE id = :id"), {"id": job_id})
