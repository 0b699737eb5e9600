"""What waits in the queues is counted, but never further than is of use, and along indexes."""

from collections.abc import Mapping

import msgspec
import pytest
from sqlalchemy import Connection, text

import db.jobs
import db.pressure
import db.turns
from db.pressure import Bounds
from domain.jobs import Kind, Queue, succeeded
from domain.pressure import Load
from tests import made

MONEY, WALLETS = Queue.TRANSACTIONS, Queue.WALLETS
ALL = Bounds(shallow_jobs=0, jobs_max=100)
LATE = """
    UPDATE jobs SET created_at = now() - interval '90 minutes', due_at = now() - interval '90 minutes'
     WHERE caller = :who
"""
SHALLOW = Bounds(shallow_jobs=20, jobs_max=100)


def queued(tx: Connection, jobs: Mapping[str, int]) -> None:
    for caller, count in jobs.items():
        db.jobs.stage(tx, [made.submission(caller=caller) for _ in range(count)])


def loads(tx: Connection, bounds: Bounds) -> dict[Queue, Load]:
    """Return what `db.pressure` does, to the minute: a busy machine may take seconds."""
    found = db.pressure.loads(tx, [MONEY, WALLETS], bounds)
    return {
        queue: msgspec.structs.replace(load, oldest_seconds=60 * round(load.oldest_seconds / 60))
        for queue, load in found.items()
    }


def test_of_a_shallow_queue_only_its_jobs_are_told(tx: Connection) -> None:
    queued(tx, {"a": 3, "b": 1})
    ended = made.job(tx)
    db.jobs.finish(tx, [succeeded(ended, transaction_id=ended)])
    assert loads(tx, SHALLOW) == {MONEY: Load(jobs=4), WALLETS: Load(jobs=0)}


def test_of_a_deep_queue_it_is_told_whose_jobs_they_are(tx: Connection) -> None:
    queued(tx, {"a": 30, "b": 3})
    made.job(tx, Kind.WALLET_OPEN, caller="c")
    tx.execute(text(LATE), {"who": "a"})
    # A share is 16: of a's jobs it is told that they are more.
    expected = Load(jobs=33, callers=2, oldest_seconds=90 * 60, queueing={"a": 17, "b": 3})
    assert loads(tx, SHALLOW) == {MONEY: expected, WALLETS: Load(jobs=1)}


@pytest.mark.parametrize(("late", "expected"), [("a", 0), ("b", 90 * 60)])
def test_a_job_that_is_put_off_makes_no_queue_late_and_hides_none_that_is(
    tx: Connection, late: str, expected: int
) -> None:
    queued(tx, {"a": 25, "b": 30})
    tx.execute(
        text(
            "UPDATE jobs SET created_at = now() - interval '90 minutes', due_at = now() + interval '3 minutes'"
            " WHERE caller = 'a'"
        )
    )
    if late == "b":
        tx.execute(text(LATE), {"who": "b"})
    assert loads(tx, SHALLOW)[MONEY].oldest_seconds == expected


def test_no_more_is_counted_than_is_of_use(tx: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db.pressure, "NEWEST", 10)
    queued(tx, {"old": 120, "few": 1, "new": 15})
    assert loads(tx, ALL)[MONEY] == Load(jobs=100, callers=3, queueing={"new": 15})


def test_a_queue_is_looked_at_along_its_indexes_also_by_a_plan_of_when_it_was_empty(tx: Connection) -> None:
    values = {"queue": MONEY, "least": 0, "most": 100, "newest": 100, "callers_max": 10, "leaps_max": 10}
    tx.execute(db.jobs.NEVER_SORT)
    plan = "\n".join(tx.scalars(text(f"EXPLAIN {db.pressure.OF_CALLERS.text}"), values))
    assert plan.count("using jobs_in_turn") == 3  # The first caller, the ones after, and the jobs of each.
    assert plan.count("jobs_queued") == 3
    assert "Seq Scan" not in plan


def test_a_bulk_counts_as_its_items(tx: Connection) -> None:
    queued(tx, {"bulks": 2, "few": 3})
    tx.execute(text("UPDATE jobs SET items = 1000 WHERE caller = 'bulks'"))
    assert loads(tx, SHALLOW)[MONEY] == Load(jobs=2_003, callers=2, queueing={"bulks": 2_000, "few": 3})
