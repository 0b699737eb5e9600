"""Claiming in turn: every caller has its share of a batch, and its own order; the rest is for the oldest jobs."""

from collections import Counter
from collections.abc import Mapping
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, text

import db.jobs
import db.turns
from domain.jobs import Queue, succeeded
from tests import made

MONEY = Queue.TRANSACTIONS


def queued(tx: Connection, jobs: Mapping[str, int]) -> dict[str, list[UUID]]:
    """Queue as many jobs of each caller, one caller after the other."""
    return {caller: [made.job(tx, caller=caller) for _ in range(count)] for caller, count in jobs.items()}


def ids(turn: db.turns.Turn) -> list[UUID]:
    return [job.id for job in turn.batch]


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ({"a": 30, "b": 1}, {"a": 9, "b": 1}),
        ({"a": 30, "b": 30}, {"a": 5, "b": 5}),
        ({"a": 30, "b": 30, "c": 1}, {"a": 6, "b": 3, "c": 1}),  # What c does not need is the oldest jobs', a's.
        ({"a": 30}, {"a": 10}),
        ({"a": 2, "b": 3}, {"a": 2, "b": 3}),
        ({}, {}),
    ],
)
def test_each_caller_has_its_share_of_a_batch(
    tx: Connection, jobs: Mapping[str, int], expected: Mapping[str, int]
) -> None:
    all_of = queued(tx, jobs)

    turn = db.turns.claim(tx, MONEY, 10)

    assert Counter(job.caller for job in turn.batch) == expected
    assert ids(turn) == sorted(one for caller, count in expected.items() for one in all_of[caller][:count])


def test_more_callers_than_a_turn_has_places_for_are_served_in_the_turns_after(
    tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.turns, "CALLERS_MAX", 2)
    queued(tx, {"oldest": 20} | dict.fromkeys("abc", 3))
    served, after = [], ""
    for _ in range(3):
        turn = db.turns.claim(tx, MONEY, 4, after)
        db.jobs.finish(tx, [succeeded(job.id, transaction_id=job.id) for job in turn.batch])
        served.append("".join(sorted(job.caller[0] for job in turn.batch)))
        after = turn.last_caller

    assert served == ["aabb", "ccoo", "oooo"]  # After the last caller, the turn is everybody's again.
    assert after == ""


def test_a_bulk_counts_as_many_as_it_has_items_and_has_its_turn(tx: Connection) -> None:
    sizes = {"a": (3, 3, 3), "b": (9,), "c": (1,)}
    bulks = [replace(made.submission(caller=caller), items=size) for caller, of in sizes.items() for size in of]
    db.jobs.stage(tx, bulks)
    served, after = [], ""
    for _ in range(4):
        turn = db.turns.claim(tx, MONEY, 10, after)
        db.jobs.finish(tx, [succeeded(job.id, transaction_id=job.id) for job in turn.batch])
        served.append([(job.caller, job.items) for job in turn.batch])
        after = turn.last_caller

    assert served == [[("a", 3)], [("b", 9), ("c", 1)], [("a", 3), ("a", 3)], []]


def test_who_had_no_turn_has_the_next_one_though_the_oldest_jobs_part_was_cut(
    tx: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.turns, "CALLERS_MAX", 2)
    queued(tx, {"put off": 5})
    tx.execute(text("UPDATE jobs SET due_at = now() + interval '1 hour' WHERE caller = 'put off'"))
    queued(tx, {"a": 1, "b": 1})
    db.jobs.stage(tx, [replace(made.submission(caller="d"), items=4) for _ in range(5)])
    queued(tx, {"c": 1})
    turn = db.turns.claim(tx, MONEY, 10)

    assert [job.caller for job in turn.batch] == ["a", "b", "d", "d"]
    assert turn.last_caller == "b"


def test_only_what_is_due_in_this_queue_and_of_a_known_kind_has_a_turn(tx: Connection) -> None:
    later, unknown, ended, due = queued(tx, {"a": 4})["a"]
    tx.execute(text("UPDATE jobs SET due_at = now() + interval '1 minute' WHERE id = :id"), {"id": later})
    tx.execute(text("UPDATE jobs SET kind = 'deposit.reverse' WHERE id = :id"), {"id": unknown})
    db.jobs.finish(tx, [succeeded(ended, transaction_id=ended)])

    assert db.turns.claim(tx, Queue.WALLETS, 10).batch == []
    assert ids(db.turns.claim(tx, MONEY, 10)) == [due]


def test_jobs_that_failed_come_in_smaller_batches_and_never_with_new_ones(tx: Connection) -> None:
    all_of = queued(tx, {"a": 20, "b": 20})
    tx.execute(text("UPDATE jobs SET attempts = 1 WHERE id = ANY(:ids)"), {"ids": all_of["a"][:3] + all_of["b"]})

    batch = ids(db.turns.claim(tx, MONEY, 100))

    assert batch == [*all_of["a"][:3], *all_of["b"][:7]]
