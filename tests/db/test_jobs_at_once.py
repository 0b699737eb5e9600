"""Two connections at the same jobs: one job a key, each job to one worker, one end a job."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg.errors
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

import db.jobs
from domain.jobs import JobState, Queue, succeeded
from settings import Settings
from tests import made
from tests.databases import connected, server_process, wait_until_blocked
from tests.made import CALLER, submission


@pytest.fixture
def first(fresh: Settings) -> Iterator[Connection]:
    with connected(fresh.database_worker_url) as connection:
        yield connection


@pytest.fixture
def second(fresh: Settings) -> Iterator[Connection]:
    with connected(fresh.database_worker_url) as connection:
        yield connection


@pytest.fixture
def owner(fresh: Settings) -> Iterator[Connection]:
    with connected(fresh.database_url) as connection:
        yield connection


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_key_that_two_connections_stage_is_one_job(
    fresh: Settings, owner: Connection, thread: ThreadPoolExecutor, ending: str
) -> None:
    with connected(fresh.database_api_url) as one, connected(fresh.database_api_url) as other:
        mine, theirs = submission(key="k"), submission(key="k")
        db.jobs.stage(one, [mine])
        waiting = thread.submit(db.jobs.stage, other, [theirs])
        wait_until_blocked(owner, waiting)
        getattr(one, ending)()
        expected = mine if ending == "commit" else theirs
        assert waiting.result(5)[CALLER, "k"].job.id == expected.id


def test_keys_are_staged_in_one_order_whatever_order_they_came_in(
    fresh: Settings, owner: Connection, thread: ThreadPoolExecutor
) -> None:
    with connected(fresh.database_api_url) as one, connected(fresh.database_api_url) as other:
        mine, theirs = submission(key="a"), submission(key="b")
        db.jobs.stage(one, [mine])
        waiting = thread.submit(db.jobs.stage, other, [submission(key="b"), submission(key="a")])
        wait_until_blocked(owner, waiting)
        db.jobs.stage(one, [theirs])  # A deadlock if the other had taken "b" before it waited for "a".
        one.commit()
        ids = {key: stored.job.id for (_, key), stored in waiting.result(5).items()}
        assert ids == {"a": mine.id, "b": theirs.id}


def test_two_workers_share_a_queue_without_waiting_and_without_meeting(
    owner: Connection, first: Connection, second: Connection
) -> None:
    ids = staged(owner, 5)
    assert claimed_ids(first, 2) == ids[:2]
    assert claimed_ids(second, 2) == ids[2:4]
    assert claimed_ids(first, 2) == ids[:2]  # What is ours does not make us wait either.


def test_what_a_dead_worker_had_claimed_is_free_again(owner: Connection, first: Connection, second: Connection) -> None:
    ids = staged(owner, 2)
    claimed_ids(first, 2)
    assert claimed_ids(second, 2) == []
    second.rollback()
    owner.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": server_process(first)})
    assert claimed_ids(second, 2) == ids
    first.invalidate()


def test_a_cancel_waits_for_the_settlement_and_then_comes_too_late(
    fresh: Settings, owner: Connection, first: Connection, thread: ThreadPoolExecutor
) -> None:
    [job_id] = staged(owner, 1)
    claimed_ids(first, 1)
    with connected(fresh.database_api_url) as api:
        waiting = thread.submit(db.jobs.cancel, api, job_id)
        wait_until_blocked(owner, waiting)
        db.jobs.finish(first, [succeeded(job_id, transaction_id=job_id)])
        first.commit()
        assert waiting.result(5) is False
        api.commit()
    assert state(owner, job_id) is JobState.SUCCEEDED


def test_a_cancel_that_came_first_is_not_claimed(fresh: Settings, owner: Connection, first: Connection) -> None:
    canceled, left = staged(owner, 2)
    with connected(fresh.database_api_url) as api:
        assert db.jobs.cancel(api, canceled)
        assert claimed_ids(first, 2) == [left]
        api.commit()
    first.rollback()
    assert claimed_ids(first, 2) == [left]


def test_a_cancel_gives_up_after_the_lock_timeout(fresh: Settings, owner: Connection, first: Connection) -> None:
    [job_id] = staged(owner, 1)
    claimed_ids(first, 1)
    with connected(fresh.database_api_url) as api:
        api.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(DBAPIError) as caught:
            db.jobs.cancel(api, job_id)
    assert isinstance(caught.value.orig, psycopg.errors.LockNotAvailable)


def test_pages_do_not_shift_while_others_insert(owner: Connection) -> None:
    ids = staged(owner, 6)
    seen: list[UUID] = []
    before = None
    while page := db.jobs.page(owner, db.jobs.Filter(), before, 2):
        staged(owner, 3)
        seen += [job.id for job in page]
        before = seen[-1]
    assert seen == ids[::-1]


def staged(owner: Connection, count: int) -> list[UUID]:
    ids = [made.job(owner) for _ in range(count)]
    owner.commit()
    return ids


def claimed_ids(worker: Connection, batch_max: int) -> list[UUID]:
    return [job.id for job in db.jobs.claim(worker, Queue.TRANSACTIONS, batch_max)]


def state(owner: Connection, job_id: UUID) -> JobState:
    stored = db.jobs.find(owner, job_id)
    assert stored is not None
    return stored.job.state
