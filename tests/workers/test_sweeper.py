"""The sweeper finds what was interrupted or never rung for, and works alone where nobody else does."""

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import pytest
import redis
from sqlalchemy import text
from uuid_utils.compat import uuid7

import db.leases
import db.locks
from db.engine import transaction
from domain.jobs import ATTEMPTS_EXHAUSTED, JobState, Kind, Queue
from local.stack import Stack
from settings import Settings
from tests import committed
from tests.databases import connected
from tests.made import submission
from workers import batches, sweeper
from workers.sweeper import Sweeper, Swept

ROOT = Path(__file__).parents[2]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing that a test has just made become overdue while it looks, however busy the machine is."""
    monkeypatch.setattr(sweeper, "OVERDUE_SECONDS", 60)
    monkeypatch.setattr(sweeper, "LEASE_SECONDS", 60)


@pytest.mark.usefixtures("url")
def test_a_sweep_of_an_idle_system_does_nothing(broker: redis.Redis) -> None:
    assert Sweeper().run_once() == Swept()
    assert broker.keys() == []


@pytest.mark.usefixtures("slow")
def test_a_dead_workers_lease_is_returned_and_costs_its_jobs_an_attempt(url: str) -> None:
    ids = committed.queued(url, submission(), submission())
    leased(url, ids[:1], seconds_ago=63)
    assert Sweeper().run_once() == Swept(interrupted=1, rung=1)
    assert [row.attempts for row in committed.execute(url, "SELECT attempts FROM jobs ORDER BY id")] == [1, 0]
    assert Sweeper().run_once() == Swept()


def test_after_a_death_whatever_is_due_is_rung_for_at_once(url: str, broker: redis.Redis) -> None:
    ids = committed.queued(url, submission())
    leased(url, ids, seconds_ago=3)
    Sweeper().run_once()
    assert broker.llen("transactions") == 1


@pytest.mark.usefixtures("slow")
def test_a_lease_that_was_taken_just_now_is_left_alone(url: str) -> None:
    leased(url, committed.queued(url, submission()), seconds_ago=0)
    assert Sweeper().run_once() == Swept()


def test_a_job_that_was_interrupted_for_the_eighth_time_fails_and_its_waiters_hear_of_it(
    url: str, broker: redis.Redis
) -> None:
    ids = committed.queued(url, submission())
    committed.execute(url, "UPDATE jobs SET attempts = 7")
    leased(url, ids, seconds_ago=3, attempts=7)
    with committed.listening(broker) as waiter:
        assert Sweeper().run_once() == Swept(interrupted=1)
        assert committed.heard(waiter) == ids
    [job] = committed.jobs(url, ids)
    assert (job.state, job.error) == (JobState.FAILED, ATTEMPTS_EXHAUSTED)


def test_jobs_are_rung_for_whatever_is_wrong_with_webhooks(url: str, broker: redis.Redis) -> None:
    overdue(url, Kind.DEPOSIT_CREATE)
    committed.execute(url, "ALTER TABLE webhook_cursor RENAME TO gone")
    assert Sweeper().run_once() == Swept(rung=1)
    assert broker.llen("transactions") == 1


def test_a_job_that_nobody_picked_up_is_rung_for_once_while_the_message_waits(url: str, broker: redis.Redis) -> None:
    overdue(url, Kind.DEPOSIT_CREATE, Kind.DEPOSIT_CREATE, Kind.WALLET_OPEN)
    assert [Sweeper().run_once() for _ in range(2)] == [Swept(rung=2)] * 2
    assert {queue: broker.llen(queue) for queue in ("transactions", "wallets", "customers")} == {
        "transactions": 1,
        "wallets": 1,
        "customers": 0,
    }


def test_a_message_that_was_lost_is_sent_again(url: str, broker: redis.Redis) -> None:
    overdue(url, Kind.DEPOSIT_CREATE)
    for _ in range(2):
        Sweeper().run_once()
        assert broker.llen("transactions") == 1
        broker.flushall()


@pytest.mark.usefixtures("slow")
def test_a_job_that_is_not_overdue_is_not_rung_for(url: str, broker: redis.Redis) -> None:
    committed.queued(url, submission())
    assert Sweeper().run_once() == Swept()
    assert broker.llen("transactions") == 0


def test_one_sweeper_works_at_a_time(fresh: Settings, url: str) -> None:
    overdue(url, Kind.DEPOSIT_CREATE)
    with connected(fresh.database_worker_url) as other:
        assert db.locks.try_sweep(other)
        assert Sweeper().run_once() == Swept()
    assert Sweeper().run_once() == Swept(rung=1)


@pytest.mark.parametrize("missing", ["outage", "worker"])
def test_jobs_that_nobody_settles_it_settles_itself_once_waiting_is_in_vain(
    url: str, missing: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a broker, and where a message waits that nobody takes. Then the next ones as soon as they are late."""
    if missing == "outage":
        request.getfixturevalue(missing)
    [wallet] = committed.opened(url, 0)
    monkeypatch.setattr(sweeper, "HELP_SECONDS", 60)  # It still helps at the last sweep, however slow the machine is.
    sweeping = Sweeper()
    ids = deposited(url, wallet, 3)
    rung = missing == "worker"
    assert sweeping.run_once() == Swept(rung=rung)
    monkeypatch.setattr(sweeper, "ABANDONED_SECONDS", 0.1)
    time.sleep(0.1)
    assert sweeping.run_once() == Swept(rung=rung, drained=3)
    ids += deposited(url, wallet, 2)
    assert sweeping.run_once() == Swept(rung=rung, drained=2)
    assert committed.states(url, ids) == [JobState.SUCCEEDED] * 5


def test_when_the_broker_is_back_it_rings_again_and_settles_nothing_itself(
    url: str, outage: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeping = Sweeper()
    overdue(url, Kind.DEPOSIT_CREATE)
    assert sweeping.run_once() == Swept()
    time.sleep(0.1)
    outage.close()
    with monkeypatch.context() as changed:
        changed.setattr(sweeper, "ABANDONED_SECONDS", 0.1)  # How long nobody could be told does not count.
        assert sweeping.run_once() == Swept(rung=1)
    assert sweeping.run_once() == Swept(rung=1)
    assert sweeping.run_once() == Swept(rung=1)


def test_it_helps_no_longer_when_nobody_needed_it_for_long(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [wallet] = committed.opened(url, 0)
    sweeping = Sweeper()
    monkeypatch.setattr(sweeper, "HELP_SECONDS", 0.1)
    deposited(url, wallet, 1)
    with monkeypatch.context() as changed:
        changed.setattr(sweeper, "ABANDONED_SECONDS", 0)
        assert sweeping.run_once() == Swept(rung=1, drained=1)
    time.sleep(0.1)
    deposited(url, wallet, 1)
    assert sweeping.run_once() == Swept(rung=1)


def test_a_queue_that_moves_is_left_to_its_worker(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [wallet] = committed.opened(url, 0)
    sweeping = Sweeper()
    monkeypatch.setattr(sweeper, "ABANDONED_SECONDS", 0.1)
    for _ in range(3):
        deposited(url, wallet, 1)
        assert sweeping.run_once() == Swept(rung=1)
        time.sleep(0.1)
        batches.drain(Queue.TRANSACTIONS)


def test_what_may_have_killed_a_worker_does_not_come_to_the_sweeper(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker is started again as often as it takes, though that may take longer than the sweeper waits."""
    [wallet] = committed.opened(url, 0)
    monkeypatch.setattr(sweeper, "ABANDONED_SECONDS", 0)
    sweeping = Sweeper()
    deposited(url, wallet, 1)
    assert sweeping.run_once() == Swept(rung=1, drained=1)
    deposited(url, wallet, 2)
    committed.execute(url, "UPDATE jobs SET attempts = 1 WHERE id = (SELECT max(CAST(id AS text))::uuid FROM jobs)")
    assert sweeping.run_once() == Swept(rung=1)


def test_what_cannot_be_settled_holds_up_no_other_queue(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [wallet] = committed.opened(url, 0)
    overdue(url, Kind.CUSTOMER_FREEZE, Kind.WALLET_OPEN)
    deposited(url, wallet, 3)
    monkeypatch.setattr(sweeper, "ABANDONED_SECONDS", 0)
    monkeypatch.setattr(batches, "TRIES", 1)
    with connected(url) as owner:
        owner.execute(text("LOCK TABLE customers"))
        assert Sweeper().run_once() == Swept(rung=3, drained=3)


def deposited(url: str, wallet: UUID, count: int) -> list[UUID]:
    """Stage deposits that are overdue."""
    ids = committed.queued(url, *(committed.deposit_of(wallet, 1_00) for _ in range(count)))
    late(url)
    return ids


def overdue(url: str, *kinds: Kind) -> list[UUID]:
    """Stage jobs that have been due for longer than a ring takes."""
    ids = committed.queued(url, *(submission(kind) for kind in kinds))
    late(url)
    return ids


def late(url: str) -> None:
    committed.execute(url, "UPDATE jobs SET due_at = due_at - interval '2 seconds' WHERE state = 'queued'")


def leased(url: str, job_ids: list[UUID], seconds_ago: int, attempts: int = 0) -> None:
    with transaction(url) as tx:
        db.leases.take(tx, uuid7(), job_ids, attempts)
        age = text("UPDATE leases SET taken_at = now() - make_interval(secs => :seconds)")
        tx.execute(age, {"seconds": seconds_ago})


def test_it_does_not_work_with_a_role_that_could_edit_history(servers: Stack) -> None:
    env = servers.env | {"DATABASE_WORKER_URL": servers.database_url}
    argv = [sys.executable, "-m", "workers.sweeper"]
    ended = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "cannot run" in ended.stdout
    assert "is a superuser" in ended.stdout
