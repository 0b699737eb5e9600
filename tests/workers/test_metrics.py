"""What workers count is what became of their batches, and what they may count has been 0 before."""

from collections.abc import Iterator
from uuid import UUID

import msgspec
import pytest
import redis
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.samples import Sample
from uuid_utils.compat import uuid7

import db.leases
import db.locks
import settings
from db.engine import DatabaseError, transaction
from domain.errors import Rejection
from domain.jobs import ATTEMPTS_MAX, Claimed, Kind, Queue, rejected, succeeded
from settings import Settings
from tests import committed, made
from tests.databases import connected
from tests.made import submission
from tests.workers.test_batches import FAILING, POISON, RAISE
from workers import batches, maintenance
from workers.metrics import Batches, Sweeps, accepted_at
from workers.sweeper import Sweeper

MONEY = Queue.TRANSACTIONS
AWAY = "postgresql+psycopg://tekana@127.0.0.1:1/tekana"


def counted(name: str, **labels: str) -> float:
    """Return what this process has counted so far."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Risen:
    """How much a metric has risen since this was made."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = counted(name, **labels)

    def __call__(self) -> float:
        return counted(self._name, **self._labels) - self._before


@pytest.fixture
def wallet(url: str) -> UUID:
    [wallet_id] = committed.opened(url, 0)
    return wallet_id


def test_a_batch_is_counted_once_with_its_jobs_and_how_each_of_them_ended(url: str, wallet: UUID) -> None:
    together = Risen("tekana_batch_seconds_count", queue=MONEY)
    jobs = Risen("tekana_batch_jobs_sum", queue=MONEY)
    good = Risen("tekana_jobs_finished_total", kind="deposit.create", state="succeeded", code="")
    refused = Risen("tekana_jobs_finished_total", kind="deposit.create", state="rejected", code="destination_not_found")
    committed.queued(url, *(committed.deposit_of(wallet, 1_00) for _ in range(3)), committed.deposit_of(UUID(int=0), 1))

    batches.drain(MONEY)

    assert (together(), jobs()) == (1, 4)
    assert (good(), refused()) == (3, 1)


def test_the_oldest_job_of_a_batch_is_as_old_as_its_acceptance() -> None:
    registry = CollectorRegistry()
    old = UUID(int=uuid7().int - (60_000 << 80))
    Batches(registry).settled(MONEY, [claimed(old), claimed(uuid7())], [], 0.1)
    age = registry.get_sample_value("tekana_batch_oldest_job_age_seconds_sum", {"queue": "transactions"})
    assert age == pytest.approx(60, abs=5)


def test_an_id_says_when_its_job_was_accepted() -> None:
    assert accepted_at(UUID("01a2032c-dbcc-701e-89a3-78cd1ab2cab3")) == 0x01A2032CDBCC / 1_000


def test_a_conflict_is_counted_for_each_try_that_it_costs(url: str, wallet: UUID) -> None:
    conflicts = Risen("tekana_batch_conflicts_total", queue="transactions")
    committed.execute(url, FAILING.format(times=2, what=RAISE.format("40P01")))
    committed.queued(url, committed.deposit_of(wallet, 6_66))
    batches.drain(MONEY)
    assert conflicts() == 2


def test_a_poisonous_job_costs_eight_failed_batches_and_as_many_attempts_and_fails_once(url: str) -> None:
    batches_failed = Risen("tekana_batches_failed_total", queue="transactions")
    attempts = Risen("tekana_job_attempts_counted_total", kind="deposit.create")
    failed = Risen("tekana_jobs_finished_total", kind="deposit.create", state="failed", code="attempts_exhausted")
    committed.queued(url, POISON)
    for _ in range(ATTEMPTS_MAX):
        batches.drain(MONEY)
        committed.execute(url, "UPDATE jobs SET due_at = now() WHERE state = 'queued'")
    assert (batches_failed(), attempts(), failed()) == (ATTEMPTS_MAX, ATTEMPTS_MAX, 1)


@pytest.mark.usefixtures("configured")
def test_a_batch_that_a_database_out_of_reach_stops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = Risen("tekana_batches_given_up_total", queue="transactions")
    monkeypatch.setenv("DATABASE_WORKER_URL", AWAY)
    settings.settings.cache_clear()
    with pytest.raises(DatabaseError):
        batches.drain(MONEY)
    assert given_up() == 1


def test_a_sweep_is_counted_with_what_it_did(url: str, broker: redis.Redis) -> None:
    assert broker
    done, interrupted = Risen("tekana_sweeps_total", result="done"), Risen("tekana_interrupted_batches_total")
    rung = Risen("tekana_sweeper_rings_total")
    attempts = Risen("tekana_job_attempts_counted_total", kind="deposit.create")
    with transaction(url) as tx:
        db.leases.take(tx, uuid7(), [made.job(tx)], 0)
    committed.execute(url, "UPDATE leases SET taken_at = now() - interval '3 seconds'")

    Sweeper().run_once()

    assert (done(), interrupted(), rung(), attempts()) == (1, 1, 1, 1)


def test_a_job_that_dies_with_its_worker_for_the_last_time_is_counted_as_failed(url: str) -> None:
    failed = Risen("tekana_jobs_finished_total", kind="wallet.open", state="failed", code="attempts_exhausted")
    [job_id] = committed.queued(url, submission(Kind.WALLET_OPEN))
    with transaction(url) as tx:
        db.leases.take(tx, uuid7(), [job_id], 7)
    committed.execute(url, "UPDATE jobs SET attempts = 7")
    committed.execute(url, "UPDATE leases SET taken_at = now() - interval '3 seconds'")
    Sweeper().run_once()
    assert failed() == 1


def test_a_sweep_that_is_left_to_another_copy_is_not_counted_as_done(fresh: Settings, url: str) -> None:
    assert url
    done, left = Risen("tekana_sweeps_total", result="done"), Risen("tekana_sweeps_total", result="left")
    with connected(fresh.database_worker_url) as other:
        assert db.locks.try_sweep(other)
        Sweeper().run_once()
    assert (done(), left()) == (0, 1)


@pytest.mark.usefixtures("url")
def test_housekeeping_is_counted_when_it_is_done() -> None:
    tasks = ("fold", "seal", "purge")
    done = [Risen("tekana_maintenance_runs_total", task=task) for task in tasks]
    for task in tasks:
        getattr(maintenance, task)()
    assert [one() for one in done] == [1, 1, 1]


@pytest.mark.parametrize("queue", [queue for queue in Queue if queue is not Queue.MAINTENANCE])
def test_what_a_process_may_count_of_its_queue_is_0_before_it_happens(queue: Queue) -> None:
    registry = CollectorRegistry()
    Batches(registry).expect([queue])
    kinds = {sample.labels["kind"] for sample in finished(registry)}
    assert kinds == {kind.value for kind in Kind if made.queue_of(kind) is queue}
    assert {sample.value for sample in finished(registry)} == {0.0}
    assert registry.get_sample_value("tekana_batches_failed_total", {"queue": queue}) == 0


def test_every_result_of_a_sweep_is_0_before_it_happens() -> None:
    registry = CollectorRegistry()
    Sweeps(registry)
    results = ("done", "left", "failed")
    assert [registry.get_sample_value("tekana_sweeps_total", {"result": result}) for result in results] == [0, 0, 0]


def test_a_whole_batch_costs_one_count_for_each_way_in_which_its_jobs_ended() -> None:
    registry = CollectorRegistry()
    batch = [claimed(uuid7()) for _ in range(1_000)]
    outcomes = [succeeded(one.id) for one in batch[:900]]
    outcomes += [rejected(one.id, Rejection.SAME_WALLET) for one in batch[900:]]
    Batches(registry).settled(MONEY, batch, outcomes, 0.1)
    assert sorted(sample.value for sample in finished(registry)) == [100, 900]


def finished(registry: CollectorRegistry) -> Iterator[Sample]:
    for family in registry.collect():
        if family.name == "tekana_jobs_finished":
            yield from (sample for sample in family.samples if sample.name.endswith("_total"))


def claimed(job_id: UUID) -> Claimed:
    return Claimed(id=job_id, kind=Kind.DEPOSIT_CREATE, payload=b"{}", caller="c", attempts=0)


def test_the_items_of_bulks_are_counted_by_how_they_ended() -> None:
    registry = CollectorRegistry()
    counted = Batches(registry)
    ids = [uuid7() for _ in range(3)]
    batch = [msgspec.structs.replace(claimed(one), kind=Kind.BULK_TRANSFER_CREATE) for one in ids]
    outcomes = [succeeded(one, succeeded=7, rejected=2, items=[]) for one in ids[:2]]
    outcomes.append(rejected(ids[2], Rejection.SAME_WALLET, 0))
    counted.settled(MONEY, batch, outcomes, 0.1)
    found = [
        registry.get_sample_value("tekana_bulk_items_total", {"state": state}) for state in ("succeeded", "rejected")
    ]
    assert found == [14, 4]
