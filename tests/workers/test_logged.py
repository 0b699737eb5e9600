"""What workers and the sweeper say of their work: enough to find a job's batch, and nothing of what is in it."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import redis
import structlog
from structlog.contextvars import merge_contextvars

from domain.jobs import ATTEMPTS_MAX, Kind, Queue
from tests import committed
from tests.made import submission
from workers import batches
from workers.sweeper import Sweeper

SECRET = "planted-in-a-payload"
POISON = submission(Kind.DEPOSIT_CREATE, {"amount": SECRET})

Logged = list[Any]


@pytest.fixture
def logged(url: str) -> Iterator[Logged]:
    """The events of this test, with what is bound."""
    assert url
    with structlog.testing.capture_logs([merge_contextvars]) as events:
        yield events


def named(logged: Logged, event: str) -> list[dict[str, Any]]:
    return [{name: line[name] for name in line if name != "event"} for line in logged if line["event"] == event]


def test_a_settled_batch_is_a_line_that_names_its_jobs_and_how_they_ended(url: str, logged: Logged) -> None:
    [wallet] = committed.opened(url, 0)
    good = [committed.deposit_of(wallet, 1_00) for _ in range(2)]
    ids = committed.queued(url, *good, committed.deposit_of(UUID(int=0), 1_00))

    batches.drain(Queue.TRANSACTIONS)

    [line] = named(logged, "batch settled")
    assert (line["queue"], line["jobs"]) == (Queue.TRANSACTIONS, 3)
    assert (line["first_job_id"], line["last_job_id"]) == (ids[0], ids[-1])
    assert line["outcomes"] == {"succeeded": 2, "destination_not_found": 1}
    assert 0 < line["seconds"] < 10
    assert isinstance(line["lease_id"], UUID)


def test_each_batch_has_its_own_lease_in_its_line(url: str, logged: Logged) -> None:
    [wallet] = committed.opened(url, 0)
    for _ in range(2):
        committed.queued(url, committed.deposit_of(wallet, 1_00))
        batches.drain(Queue.TRANSACTIONS)

    first, second = named(logged, "batch settled")
    assert first["lease_id"] != second["lease_id"]
    assert first["last_job_id"] != second["first_job_id"]


def test_a_batch_that_fails_says_which_jobs_were_in_it_and_not_what_they_said(url: str, logged: Logged) -> None:
    [job_id] = committed.queued(url, POISON)

    for _ in range(ATTEMPTS_MAX):
        batches.drain(Queue.TRANSACTIONS)
        committed.execute(url, "UPDATE jobs SET due_at = now() WHERE state = 'queued'")

    failures = named(logged, "batch failed")
    assert {(line["first_job_id"], line["last_job_id"], line["jobs"]) for line in failures} == {(job_id, job_id, 1)}
    assert [line["job_ids"] for line in named(logged, "jobs given up")] == [[job_id]]
    assert SECRET not in str(logged)


def test_what_follows_a_drain_is_not_told_of_its_last_batch(url: str) -> None:
    [wallet] = committed.opened(url, 0)
    committed.queued(url, committed.deposit_of(wallet, 1_00))

    batches.drain(Queue.TRANSACTIONS)

    assert structlog.contextvars.get_contextvars() == {}


def test_the_sweeper_says_whom_it_freed_and_for_what_it_rang(url: str, broker: redis.Redis, logged: Logged) -> None:
    [job_id] = committed.queued(url, submission())
    lease = (
        "INSERT INTO leases (id, job_ids, taken_at) VALUES (gen_random_uuid(), '{{{}}}', now() - interval '3 seconds')"
    )
    committed.execute(url, lease.format(job_id))
    [[lease_id]] = committed.execute(url, "SELECT id FROM leases")

    Sweeper().run_once()

    assert broker.llen("transactions") == 1
    assert named(logged, "interrupted batches freed") == [{"lease_ids": [lease_id], "log_level": "warning"}]
    [rang] = named(logged, "rang again")
    assert (rang["queue"], rang["jobs"], rang["first_id"]) == (Queue.TRANSACTIONS, 1, job_id)
