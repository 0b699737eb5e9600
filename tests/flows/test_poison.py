"""Jobs that can never be settled end `failed`, alone: what was queued beside them goes through."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

from domain.jobs import ATTEMPTS_MAX
from tests.flows.books import Strike, reconcile
from tests.flows.conftest import Recorder
from tests.flows.faults import WORKER, children
from tests.flows.load import Load
from tests.flows.onlookers import Onlooker
from tests.flows.trials import Case
from tests.flows.world import World, decode, transfer

pytestmark = pytest.mark.alone

COMPANIONS = 200
CLIENTS = 8
END_SECONDS_MAX = 90.0
LOOK_SECONDS = 0.01


class Killer(Onlooker):
    """Kills the worker's child each time it takes up the job.

    The job's source is locked meanwhile, so that the child is still at it when its lease is seen.
    """

    look_seconds = LOOK_SECONDS

    def __init__(self, world: World, job_id: str) -> None:
        super().__init__()
        self.kills = 0
        self._world = world
        self._job_id = UUID(job_id)
        self._seen: set[UUID] = set()

    def look(self) -> None:
        with self._world.tx() as tx:
            taken = set(tx.scalars(text("SELECT id FROM leases WHERE :id = ANY(job_ids)"), {"id": self._job_id}))
        if taken - self._seen:
            self.kills += 1
            for pid in children(self._world.stack.pid(WORKER)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._seen |= taken


def test_a_job_that_always_kills_its_worker_fails_alone(trial: Case, world: World, recorder: Recorder) -> None:
    [source] = world.open_wallets(1, 1_000)
    world.stack.hold(WORKER)  # So that all of them gather, and come to lie in one batch.
    guilty = decode(world.post("/v1/transfers", transfer(source, world.wallets[0], 1))).id
    with Load(world, COMPANIONS, CLIENTS, draw=trial.draw) as load:
        receipts = load.finish()
    with _locked(world, source), Killer(world, guilty) as killer:
        at = datetime.now(UTC)
        world.stack.release(WORKER)
        attempts = _attempts_until_failed(world, guilty)
    figures, broken = reconcile(world, receipts, Strike(at=at, back_at=at), trial.row, ends={guilty: "failed"})
    recorder(figures)
    assert broken == []
    assert attempts == ATTEMPTS_MAX
    assert killer.kills >= ATTEMPTS_MAX


def test_a_payload_that_no_worker_can_read_fails_alone(trial: Case, world: World, recorder: Recorder) -> None:
    started = datetime.now(UTC)
    guilty = uuid7()
    with world.tx() as tx:
        tx.execute(MALFORMED, {"id": guilty, "key": uuid4().hex})
    with Load(world, COMPANIONS, CLIENTS, draw=trial.draw) as load:
        receipts = load.finish()
        attempts = _attempts_until_failed(world, str(guilty))
    figures, broken = reconcile(world, receipts, Strike(at=started, back_at=started), trial.row)
    recorder(figures)
    assert broken == []
    assert attempts == ATTEMPTS_MAX


MALFORMED = text("""
    INSERT INTO jobs (id, kind, queue, caller, idempotency_key, fingerprint, payload)
    VALUES (:id, 'transfer.create', 'transactions', 'nobody', :key, '', '{"amount": "x"}')
""")


@contextlib.contextmanager
def _locked(world: World, wallet_id: str) -> Iterator[Connection]:
    with world.tx() as tx:
        tx.execute(text("SELECT FROM wallets WHERE id = CAST(:id AS uuid) FOR UPDATE"), {"id": wallet_id})
        yield tx


def _attempts_until_failed(world: World, job_id: str) -> int:
    """Wait for the job's end; return how often it was tried."""
    deadline = time.monotonic() + END_SECONDS_MAX
    while (job := world.get(job_id)).state == "queued" and time.monotonic() < deadline:
        _skip_delays(world, UUID(job_id))
        time.sleep(LOOK_SECONDS)
    assert job.state == "failed", job
    assert job.error is not None
    assert job.error["code"] == "attempts_exhausted"
    with world.tx() as tx:
        return int(tx.scalar(text("SELECT attempts FROM jobs WHERE id = :id"), {"id": UUID(job_id)}) or 0)


def _skip_delays(world: World, job_id: UUID) -> None:
    """Once all others have ended, let the job be overdue at once: how long it waits is tried elsewhere."""
    with world.tx() as tx:
        tx.execute(SKIP, {"id": job_id})


SKIP = text("""
    UPDATE jobs SET due_at = now() - interval '2 seconds'
     WHERE id = :id AND state = 'queued' AND due_at > now() - interval '1 second'
       AND NOT EXISTS (SELECT FROM jobs AS others WHERE others.state = 'queued' AND others.id <> :id)
""")
