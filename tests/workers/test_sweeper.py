"""The sweeper finds what was interrupted or never rung for, and works alone while there is no broker."""

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
from domain.jobs import ATTEMPTS_EXHAUSTED, JobState, Kind
from local.stack import Stack
from settings import Settings
from tests import committed
from tests.databases import connected
from tests.made import submission
from workers import sweeper
from workers.sweeper import Sweeper, Swept

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("url")
def test_a_sweep_of_an_idle_system_does_nothing(broker: redis.Redis) -> None:
    assert Sweeper().run_once() == Swept()
    assert broker.keys() == []


def test_a_dead_workers_lease_is_returned_and_costs_its_jobs_an_attempt(url: str) -> None:
    ids = committed.queued(url, submission(), submission())
    leased(url, ids[:1], seconds_ago=3)
    assert Sweeper().run_once() == Swept(interrupted=1, rung=1)
    assert [row.attempts for row in committed.execute(url, "SELECT attempts FROM jobs ORDER BY id")] == [1, 0]
    assert Sweeper().run_once() == Swept()


def test_after_a_death_whatever_is_due_is_rung_for_at_once(url: str, broker: redis.Redis) -> None:
    ids = committed.queued(url, submission())
    leased(url, ids, seconds_ago=3)
    Sweeper().run_once()
    assert broker.llen("transactions") == 1


def test_a_lease_that_was_taken_just_now_is_left_alone(url: str) -> None:
    leased(url, committed.queued(url, submission()), seconds_ago=0)
    assert Sweeper().run_once() == Swept()


def test_a_job_that_was_interrupted_for_the_eighth_time_fails_and_its_waiters_hear_of_it(
    url: str, broker: redis.Redis
) -> None:
    ids = committed.queued(url, submission())
    committed.execute(url, "UPDATE jobs SET attempts = 7")
    leased(url, ids, seconds_ago=3)
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


@pytest.mark.usefixtures("outage")
def test_without_a_broker_it_settles_the_jobs_itself_once_waiting_is_in_vain(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [wallet] = committed.opened(url, 0)
    sweeping = Sweeper()
    ids = committed.queued(url, *(committed.deposit_of(wallet, 1_00) for _ in range(3)))
    late(url)
    assert sweeping.run_once() == Swept()
    monkeypatch.setattr(sweeper, "BROKER_GONE_SECONDS", 0.1)
    time.sleep(0.1)
    assert sweeping.run_once() == Swept(drained=3)
    assert committed.states(url, ids) == [JobState.SUCCEEDED] * 3


def test_when_the_broker_is_back_it_rings_again_and_settles_nothing_itself(
    url: str, outage: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeping = Sweeper()
    overdue(url, Kind.DEPOSIT_CREATE)
    assert sweeping.run_once() == Swept()
    outage.close()
    monkeypatch.setattr(sweeper, "BROKER_GONE_SECONDS", 1)
    assert sweeping.run_once() == Swept(rung=1)
    assert sweeping.run_once() == Swept(rung=1)


def overdue(url: str, *kinds: Kind) -> list[UUID]:
    """Stage jobs that have been due for longer than a ring takes."""
    ids = committed.queued(url, *(submission(kind) for kind in kinds))
    late(url)
    return ids


def late(url: str) -> None:
    committed.execute(url, "UPDATE jobs SET due_at = due_at - interval '2 seconds' WHERE state = 'queued'")


def leased(url: str, job_ids: list[UUID], seconds_ago: int) -> None:
    with transaction(url) as tx:
        db.leases.take(tx, uuid7(), job_ids)
        age = text("UPDATE leases SET taken_at = now() - make_interval(secs => :seconds)")
        tx.execute(age, {"seconds": seconds_ago})


def test_it_does_not_work_with_a_role_that_could_edit_history(servers: Stack) -> None:
    env = servers.env | {"DATABASE_WORKER_URL": servers.database_url}
    argv = [sys.executable, "-m", "workers.sweeper"]
    ended = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "cannot run" in ended.stdout
    assert "is a superuser" in ended.stdout
