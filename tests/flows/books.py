"""What must hold after every fault: nothing lost, nothing done twice, nobody waiting, the books right."""

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import UUID

import msgspec
from sqlalchemy import Row, text

import db.audit
from tests.flows.load import Receipt
from tests.flows.world import Job, World

WAIT_SECONDS_MAX = 15.0  # The promise: a crash anywhere delays a job by no more.
SAMPLE = 20  # Jobs whose GET is compared with their row.
LOOK_SECONDS = 0.05
MOVEMENTS = {"transfer.create", "deposit.create", "withdrawal.create"}
SHOWN = 5  # Of a long list of broken promises; the rest looks the same.


class Strike(msgspec.Struct, frozen=True, kw_only=True):
    """When something was broken, and when everything it takes to settle a job was there again."""

    at: datetime
    back_at: datetime


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one fault under load. Seconds count from the later of acceptance and return."""

    fault: str
    jobs: int = 0
    interrupted: int = 0  # Jobs that had been accepted and not settled when the fault struck.
    lost: int = 0  # Acknowledged jobs that have not ended.
    doubled: int = 0  # Transactions that nobody was acknowledged, and wallets that hold more or less than the log says.
    missed: int = 0  # One whose strike met no job in flight, though it was aimed at them.
    failed: int = 0  # One whose test failed, at whatever it was; then there may be no other figures.
    wait_seconds_max: float = 0.0  # The recovery: from the fault's end to that of the last job that it held up.
    trials: int = 1


def reconcile(
    world: World,
    receipts: Sequence[Receipt],
    strike: Strike,
    fault: str,
    *,
    ends: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Trial, list[str]]:
    """Wait for the end of all jobs; return the figures and every promise that was broken.

    What is reconciled is the log of what was acknowledged; clients must remember no more than that. All of it must
    have succeeded in time, but for the jobs in `ends`, by their ids, and the state in which each must end at last.
    """
    queued = wait_drained(world, max([strike.back_at, *(receipt.answered_at for receipt in receipts)]))
    acknowledged = world.book()
    rows = _rows(world, [one.key for one in acknowledged])
    answered = {one.job_id for one in acknowledged}
    forgotten = {receipt.job_id for receipt in receipts} - answered
    missing = sorted(answered - {str(row.id) for row in rows})
    lost = sorted(answered - {str(row.id) for row in rows if row.state != "queued"})
    timed = [row for row in rows if row.finished_at is not None and str(row.id) not in ends]
    waits = {row.id: _wait(row, strike.back_at) for row in timed}
    moved = _moved(world, rows)
    unasked = _unasked(world)
    balances = _wrong_balances(world)
    wrong = [row for row in rows if row.state not in {"queued", ends.get(str(row.id), "succeeded")}]
    broken = [
        *(f"{len(forgotten)} receipts are not in the log: {sorted(forgotten)[:SHOWN]}" for _ in [*forgotten][:1]),
        *(f"{len(lost)} of the answered jobs have not ended: {lost[:SHOWN]}" for _ in lost[:1]),
        *(f"{job_id} was answered and does not exist" for job_id in missing),
        *(f"{row.id} ended {row.state}: {row.error}" for row in wrong),
        *(f"{len(unasked)} transactions are nobody's: {unasked[:SHOWN]}" for _ in unasked[:1]),
        *(f"{row.id} moves money" for row in wrong if row.id in moved and row.state != "succeeded"),
        *(f"{row.id} succeeded without effect" for row in rows if _is_without_effect(row, moved)),
        *(f"{job_id} ended {wait:.1f} s late" for job_id, wait in waits.items() if wait > WAIT_SECONDS_MAX),
        *(f"{queued} jobs are still queued" for _ in range(min(queued, 1))),
        *balances,
        *_wrong_answers(world, rows[:: max(1, len(rows) // SAMPLE)]),
        *_findings(world),
    ]
    trial = Trial(
        fault=fault,
        jobs=len(rows),
        interrupted=sum(_is_interrupted(row, strike.at) for row in rows),
        lost=len(lost),
        doubled=len(unasked) + len(balances),
        wait_seconds_max=max([0.0, *waits.values()]),
    )
    return trial, broken


def wait_drained(world: World, since: datetime) -> int:
    """Return how many jobs are queued: none, or those that remain when their time is over."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX - (datetime.now(UTC) - since).total_seconds()
    while True:
        with world.tx() as tx:
            queued = tx.scalar(text("SELECT count(*) FROM jobs WHERE state = 'queued'"))
        if not queued or time.monotonic() > deadline:
            return queued or 0
        time.sleep(LOOK_SECONDS)


def _rows(world: World, keys: list[str]) -> Sequence[Row[tuple[object, ...]]]:
    query = text(
        "SELECT id, idempotency_key, kind, state, result, error, created_at, finished_at FROM jobs"
        " WHERE idempotency_key = ANY(:keys) ORDER BY id"
    )
    with world.tx() as tx:
        return tx.execute(query, {"keys": keys}).all()


def _moved(world: World, rows: Sequence[Row[tuple[object, ...]]]) -> set[UUID]:
    """Return which of the jobs have entries in the ledger."""
    query = text("SELECT DISTINCT transaction_id FROM entries WHERE transaction_id = ANY(:ids)")
    with world.tx() as tx:
        return set(tx.scalars(query, {"ids": [row.id for row in rows]}))


def _unasked(world: World) -> list[str]:
    """Return the transactions that no acknowledged job made: a transfer that was repeated as another job is one."""
    query = text("SELECT CAST(id AS text) FROM transactions WHERE id <> ALL(CAST(:ids AS uuid[])) ORDER BY id")
    with world.tx() as tx:
        return list(tx.scalars(query, {"ids": list(world.asked)}))


def _wait(row: Row[tuple[object, ...]], back_at: datetime) -> float:
    return float((row.finished_at - max(row.created_at, back_at)).total_seconds())


def _is_without_effect(row: Row[tuple[object, ...]], moved: Collection[UUID]) -> bool:
    return bool(row.state == "succeeded" and row.kind in MOVEMENTS and row.id not in moved)


def _is_interrupted(row: Row[tuple[object, ...]], struck_at: datetime) -> bool:
    return bool(row.created_at <= struck_at and (row.finished_at is None or row.finished_at > struck_at))


def _wrong_balances(world: World) -> list[str]:
    """Compare each wallet with what the log comes to: one transfer too many or too few is seen at once."""
    with world.tx() as tx:
        rows = tx.execute(text("SELECT CAST(id AS text), balance FROM wallets WHERE customer_id IS NOT NULL"))
        found = {row.id: row.balance for row in rows}
    return [
        f"wallet {wallet_id} holds {found[wallet_id]} and should {balance}"
        for wallet_id, balance in world.balances.items()
        if found[wallet_id] != balance
    ]


def _wrong_answers(world: World, rows: Sequence[Row[tuple[object, ...]]]) -> list[str]:
    """Compare what GET says with the row."""
    answers = [(row, world.get(str(row.id))) for row in rows]
    return [f"GET says {job}, the row {row}" for row, job in answers if not _agree(row, job)]


def _findings(world: World) -> list[str]:
    """Audit, as `tekana audit verify` does in a process of its own."""
    audit = db.audit.verify(world.stack.database_url, world.stack.env["SEAL_KEY"].encode())
    return [str(finding) for _, found in audit for finding in found]


def _agree(row: Row[tuple[object, ...]], job: Job) -> bool:
    said = datetime.fromisoformat(job.finished_at) if job.finished_at else None
    return (job.id, job.state, job.result, job.error, said) == (
        str(row.id),
        row.state,
        row.result,
        row.error,
        row.finished_at,
    )
