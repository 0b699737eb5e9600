"""Batches settle exactly once, and one bad job never keeps the others from ending."""

import base64
import math
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import msgspec
import pytest
import redis
from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError

import db.audit
import db.jobs
import db.leases
import settings
from db.engine import transaction
from domain.jobs import ATTEMPTS_EXHAUSTED, ATTEMPTS_MAX, JobState, Kind, Queue
from settings import Settings
from tests import committed
from tests.made import ENDPOINT_URL, submission
from workers import batches
from workers.sweeper import Sweeper

MONEY = Queue.TRANSACTIONS
RING_SECONDS_MAX = 10
POISON = submission(Kind.DEPOSIT_CREATE, {"amount": "not a movement"})

# Rules of the database that a test adds: they fail for an amount of 6.66, as nothing in the project does.
FAILING = """
    CREATE SEQUENCE failures;
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        IF NEW.amount = 666 AND nextval('failures') <= {times} THEN {what}; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER fail BEFORE INSERT ON transactions FOR EACH ROW EXECUTE FUNCTION fail()
"""
RAISE = "RAISE EXCEPTION 'on purpose' USING ERRCODE = '{}'"
DIE = "PERFORM pg_terminate_backend(pg_backend_pid())"


@pytest.fixture
def wallet(url: str) -> UUID:
    [wallet_id] = committed.opened(url, 0)
    return wallet_id


def test_a_batch_is_settled_and_then_nothing_is_due(url: str, wallet: UUID) -> None:
    ids = committed.queued(url, *(committed.deposit_of(wallet, 1_00) for _ in range(3)))
    outcomes = batches.settle_next(MONEY)
    assert outcomes is not None
    assert [(one.job_id, one.state) for one in outcomes] == [(job_id, JobState.SUCCEEDED) for job_id in ids]
    assert batches.settle_next(MONEY) is None


def test_who_tells_of_jobs_is_rung_for_those_that_somebody_hears_of(
    url: str, broker: redis.Redis, wallet: UUID
) -> None:
    unheard, heard = committed.deposit_of(wallet, 1_00), committed.deposit_of(wallet, 1_00)
    for one in (unheard, replace(heard, callback_url=ENDPOINT_URL)):
        committed.queued(url, one)
        batches.settle_next(MONEY)
    found = broker.blpop([Queue.WEBHOOKS], timeout=RING_SECONDS_MAX)
    assert found is not None
    arguments, _, _ = msgspec.json.decode(base64.b64decode(msgspec.json.decode(found[1])["body"]))
    assert arguments == [1, str(heard.id)]


def test_a_drain_counts_how_the_jobs_ended(url: str, wallet: UUID) -> None:
    good = committed.deposit_of(wallet, 1_00)
    refused = committed.deposit_of(UUID(int=0), 1_00)
    committed.queued(url, good, refused)
    assert batches.drain(MONEY) == {"succeeded": 1, "rejected": 1}
    assert committed.states(url, [good.id, refused.id]) == [JobState.SUCCEEDED, JobState.REJECTED]


def test_a_queue_is_drained_twice_without_harm(url: str, wallet: UUID) -> None:
    committed.queued(url, *(committed.deposit_of(wallet, 1_00) for _ in range(3)))
    assert [batches.drain(MONEY)["succeeded"] for _ in range(2)] == [3, 0]
    assert committed.balances(url, [wallet]) == [3_00]


def test_a_drain_takes_many_batches_until_its_time_is_up(
    url: str, wallet: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_MAX", "2")
    settings.settings.cache_clear()
    committed.queued(url, *(committed.deposit_of(wallet, 1_00) for _ in range(7)))
    assert batches.drain(MONEY, seconds=0)["succeeded"] == 2
    assert batches.drain(MONEY)["succeeded"] == 5


def test_a_drain_that_lingers_settles_what_comes_meanwhile(url: str, wallet: UUID) -> None:
    [first] = committed.queued(url, committed.deposit_of(wallet, 1_00))
    with ThreadPoolExecutor(1) as thread:
        draining = thread.submit(batches.drain, MONEY, linger_seconds=5.0)
        while committed.states(url, [first]) != [JobState.SUCCEEDED]:
            assert not draining.done()
        committed.queued(url, committed.deposit_of(wallet, 1_00))
        assert draining.result() == {"succeeded": 2, "rejected": 0}


def test_a_drain_lingers_after_a_batch_only_and_no_longer_than_its_time(
    url: str, wallet: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LOOK_SECONDS", -1.0)  # Which nobody can wait for.
    assert batches.drain(MONEY, linger_seconds=60) == {"succeeded": 0, "rejected": 0}
    committed.queued(url, committed.deposit_of(wallet, 1_00))
    assert batches.drain(MONEY, seconds=0, linger_seconds=60)["succeeded"] == 1


def test_a_drain_that_lingers_ends_when_nothing_comes(url: str, wallet: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LOOK_SECONDS", 0.2)
    committed.queued(url, committed.deposit_of(wallet, 1_00))
    assert batches.drain(MONEY, seconds=math.inf, linger_seconds=0.1)["succeeded"] == 1


@pytest.mark.parametrize(
    ("settled", "seconds"), [(0, 0), (1, 0), (2, 0.0002), (50, 0.005), (51, 0.005), (999, 0.005), (1_000, 0)]
)
def test_jobs_gather_after_a_batch_when_there_are_several_and_no_more_wait(settled: int, seconds: float) -> None:
    assert batches.rest_seconds(settled, 1_000) == pytest.approx(seconds)


def test_a_queue_is_drained_of_its_own_jobs_only(url: str) -> None:
    [job_id] = committed.queued(url, submission(Kind.WALLET_OPEN, {"customer_id": str(UUID(int=1))}))
    assert batches.drain(MONEY) == {"succeeded": 0, "rejected": 0}
    assert committed.states(url, [job_id]) == [JobState.QUEUED]


def test_a_job_that_cannot_be_read_fails_alone_and_the_others_succeed(url: str, wallet: UUID) -> None:
    ids = committed.queued(url, *(committed.deposit_of(wallet, 1_00) for _ in range(30)))
    committed.queued(url, POISON)
    ids += committed.queued(url, *(committed.deposit_of(wallet, 1_00) for _ in range(30)))
    drain_at_every_due_time(url, ATTEMPTS_MAX)
    [poison] = committed.jobs(url, [POISON.id])
    assert (poison.state, poison.error) == (JobState.FAILED, ATTEMPTS_EXHAUSTED)
    assert set(committed.states(url, ids)) == {JobState.SUCCEEDED}
    assert committed.balances(url, [wallet]) == [60_00]


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a job that failed wait a minute for each second, so that none is due again while a test looks."""
    monkeypatch.setattr(db.leases, "DELAYS", [60 * seconds for seconds in db.leases.DELAYS])


@pytest.mark.usefixtures("slowly")
def test_a_poisonous_job_has_eight_attempts_and_waits_between_the_last_ones(url: str) -> None:
    committed.queued(url, POISON)
    assert drain(url) == (4, 1)  # Three at once, the fourth alone; then a wait.
    assert [drain(url) for _ in range(4)] == [(5, 2), (6, 4), (7, 8), (8, 0)]
    assert committed.states(url, [POISON.id]) == [JobState.FAILED]


@pytest.mark.usefixtures("slowly")
def test_an_operator_gives_a_failed_job_a_new_set_of_attempts(url: str) -> None:
    committed.queued(url, POISON)
    drain_at_every_due_time(url, ATTEMPTS_MAX)
    with transaction(url) as tx:
        assert db.jobs.requeue(tx, [POISON.id]) == [POISON.id]
    assert drain(url) == (4, 1)


def test_innocent_jobs_of_a_failed_batch_do_not_fail_for_its_sake(url: str, wallet: UUID) -> None:
    ids = committed.queued(url, POISON, *(committed.deposit_of(wallet, 1_00) for _ in range(5)))
    drain_at_every_due_time(url, 1)
    attempts = committed.execute(url, "SELECT max(attempts) FROM jobs WHERE state = 'succeeded'")
    assert attempts[0][0] <= 3
    assert set(committed.states(url, ids[1:])) == {JobState.SUCCEEDED}


@pytest.mark.parametrize("state", ["40P01", "40001", "55P03", "23505"])
def test_a_deadlock_or_conflict_is_tried_again_at_once_and_costs_no_attempt(url: str, wallet: UUID, state: str) -> None:
    committed.execute(url, FAILING.format(times=2, what=RAISE.format(state)))
    committed.queued(url, committed.deposit_of(wallet, 6_66))
    assert batches.drain(MONEY)["succeeded"] == 1
    assert rows(url, "attempts FROM jobs") == [(0,)]
    assert rows(url, "* FROM leases") == []


def test_a_deadlock_that_does_not_pass_is_raised_and_counts_no_attempt(url: str, wallet: UUID) -> None:
    committed.execute(url, FAILING.format(times=batches.TRIES, what=RAISE.format("40P01")))
    committed.queued(url, committed.deposit_of(wallet, 6_66))
    with pytest.raises(DBAPIError):
        batches.settle_next(MONEY)
    assert rows(url, "attempts FROM jobs") == [(0,)]
    assert batches.drain(MONEY)["succeeded"] == 1


def test_a_lost_connection_is_raised_and_leaves_the_lease_to_the_sweeper(url: str, wallet: UUID) -> None:
    committed.execute(url, FAILING.format(times=1, what=DIE))
    ids = committed.queued(url, committed.deposit_of(wallet, 1_00), committed.deposit_of(wallet, 6_66))
    with pytest.raises(DBAPIError):
        batches.settle_next(MONEY)
    assert rows(url, "job_ids FROM leases") == [(ids,)]
    assert set(committed.states(url, ids)) == {JobState.QUEUED}


def test_what_a_lost_connection_interrupted_is_settled_once_after_the_sweep(url: str, wallet: UUID) -> None:
    committed.execute(url, FAILING.format(times=1, what=DIE))
    ids = committed.queued(url, committed.deposit_of(wallet, 1_00), committed.deposit_of(wallet, 6_66))
    with pytest.raises(DBAPIError):
        batches.settle_next(MONEY)
    committed.execute(url, "UPDATE leases SET taken_at = taken_at - interval '3 seconds'")
    assert Sweeper().run_once().interrupted == 1
    assert rows(url, "attempts FROM jobs") == [(1,), (1,)]
    assert batches.drain(MONEY)["succeeded"] == len(ids)
    assert committed.balances(url, [wallet]) == [7_66]


def test_a_worker_that_the_sweeper_took_for_dead_settles_nothing(url: str, wallet: UUID) -> None:
    steal = """
        CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            DELETE FROM leases WHERE id = NEW.id; RETURN NULL;
        END $$;
        CREATE TRIGGER steal AFTER INSERT ON leases FOR EACH ROW EXECUTE FUNCTION steal()
    """
    committed.execute(url, steal)
    committed.queued(url, committed.deposit_of(wallet, 1_00))
    assert batches.settle_next(MONEY) == []
    assert rows(url, "state, attempts FROM jobs") == [("queued", 0)]
    assert committed.balances(url, [wallet]) == [0]


def test_a_settled_batch_leaves_no_lease_and_books_that_are_right(fresh: Settings, url: str, wallet: UUID) -> None:
    committed.queued(url, *(committed.deposit_of(wallet, 1_00) for _ in range(3)), POISON)
    drain_at_every_due_time(url, ATTEMPTS_MAX)
    found = [rows for _, rows in db.audit.verify(url, fresh.seal_key.encode()) if rows]
    assert found == []
    assert rows(url, "* FROM leases") == []


@pytest.mark.usefixtures("configured")
def test_a_database_that_is_away_is_raised_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_WORKER_URL", "postgresql+psycopg://tekana@127.0.0.1:1/tekana")
    settings.settings.cache_clear()
    with pytest.raises(DBAPIError):
        batches.drain(MONEY)


def drain(url: str) -> tuple[object, ...]:
    """Drain; return the attempts of the only job so far, and for how many minutes it waits now. Then it is due."""
    batches.drain(MONEY)
    wait = "CAST(greatest(0, round(extract(epoch FROM due_at - now()) / 60)) AS int)"
    [attempts_and_minutes] = rows(url, f"attempts, CASE state WHEN 'queued' THEN {wait} ELSE 0 END FROM jobs")
    committed.execute(url, "UPDATE jobs SET due_at = now() WHERE state = 'queued'")
    return attempts_and_minutes


def drain_at_every_due_time(url: str, times: int) -> None:
    for _ in range(times):
        batches.drain(MONEY)
        committed.execute(url, "UPDATE jobs SET due_at = now() WHERE state = 'queued'")


def rows(url: str, what: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in committed.execute(url, f"SELECT {what}")]
