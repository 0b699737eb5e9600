"""Accepting jobs together: one commit for all, and nobody suffers for another's request."""

import asyncio
import time
import weakref
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
import redis
from prometheus_client import REGISTRY

import api.intake
from api.errors import IdempotencyKeyReused, TooManyOpenJobs, Unavailable
from api.intake import FLUSH_MAX, Intake
from api.open_jobs import OpenJobs
from db.async_engine import AsyncTransactions
from db.engine import DatabaseError, Unanswered, is_unavailable
from db.jobs import Stored
from domain.jobs import Queue, Submission
from local import ports
from settings import Settings
from tests import garbage
from tests.committed import execute
from tests.databases import connected
from tests.made import submission
from workers.bell import Bell

RING_SECONDS_MAX = 10.0

Answer = Stored | BaseException


async def accepted(
    url: str,
    rounds: Sequence[Sequence[Submission]],
    open_jobs_max: int = 0,
    deadline_seconds: float | None = None,
) -> list[list[Answer]]:
    """Submit each round's requests at once, one round after the other; return what each was answered."""
    database, bell = AsyncTransactions(url, connections=2, deadline_seconds=deadline_seconds), Bell()
    intake = Intake(database, bell, OpenJobs(open_jobs_max))
    try:
        return [
            await asyncio.gather(*(intake.accept(one) for one in together), return_exceptions=True)
            for together in rounds
        ]
    finally:
        await intake.stop()
        await database.close()
        await asyncio.to_thread(bell.stop)


def ids(answers: Sequence[Answer]) -> list[object]:
    return [one.job.id if isinstance(one, Stored) else type(one) for one in answers]


def test_requests_that_arrive_together_get_each_their_own_job(fresh: Settings) -> None:
    together = [submission() for _ in range(FLUSH_MAX + 10)]

    [answers] = asyncio.run(accepted(fresh.database_api_url, [together]))

    assert ids(answers) == [one.id for one in together]
    assert execute(fresh.database_url, "SELECT count(*) FROM jobs") == [(len(together),)]


def test_requests_that_arrive_together_share_their_commits(fresh: Settings) -> None:
    asyncio.run(accepted(fresh.database_api_url, [[submission() for _ in range(50)]]))

    assert execute(fresh.database_url, "SELECT count(DISTINCT xmin::text) FROM jobs")[0][0] <= 2


@pytest.mark.parametrize("rounds", [(2, 1), (5, 1), (2, 2)], ids=str)
def test_who_comes_after_a_flush_of_several_waits_for_company(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch, rounds: tuple[int, int]
) -> None:
    monkeypatch.setattr(api.intake, "LINGER_SECONDS_MAX", 1.0)
    monkeypatch.setattr(api.intake, "LINGER_SECONDS_PER_JOB", 1.0)
    began = time.monotonic()

    asyncio.run(accepted(fresh.database_api_url, [[submission() for _ in range(count)] for count in rounds]))

    assert time.monotonic() - began >= 1.0


def test_who_comes_after_one_alone_waits_for_nothing(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.intake, "LINGER_SECONDS_MAX", 60.0)
    monkeypatch.setattr(api.intake, "LINGER_SECONDS_PER_JOB", 60.0)
    began = time.monotonic()

    asyncio.run(accepted(fresh.database_api_url, [[submission()], [submission()]]))

    assert time.monotonic() - began < 30


def test_a_flush_is_counted_once_however_many_jobs_it_has(fresh: Settings) -> None:
    names = [f"tekana_accept_{name}" for name in ("flush_jobs_sum", "flush_seconds_count", "seconds_count")]
    before = [counted(name) for name in names]

    asyncio.run(accepted(fresh.database_api_url, [[submission() for _ in range(50)], [submission()]]))

    jobs, flushes, waits = (counted(name) - value for name, value in zip(names, before, strict=True))
    assert jobs == 51
    assert 2 <= flushes == waits <= 4


def test_a_flush_that_fails_is_counted_apart() -> None:
    nowhere = f"postgresql+psycopg://tekana@127.0.0.1:{ports.free()}/tekana"
    names = ("tekana_accept_flushes_failed_total", "tekana_accept_flush_jobs_count")
    before = [counted(name) for name in names]

    asyncio.run(accepted(nowhere, [[submission()]]))

    assert [counted(name) - value for name, value in zip(names, before, strict=True)] == [1, 0]


def test_requests_that_came_while_a_flush_runs_are_told_as_waiting(fresh: Settings) -> None:
    async def use() -> list[int]:
        database, bell = AsyncTransactions(fresh.database_api_url, connections=2), Bell()
        intake = Intake(database, bell, OpenJobs(0))
        with connected(fresh.database_url) as holder:
            holder.exec_driver_sql("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            requests = [asyncio.ensure_future(intake.accept(submission()))]
            await asyncio.sleep(0.1)
            requests += [asyncio.ensure_future(intake.accept(submission())) for _ in range(3)]
            await asyncio.sleep(0.1)
            waiting = [intake.waiting]
        await asyncio.gather(*requests)
        waiting.append(intake.waiting)
        await intake.stop()
        await database.close()
        await asyncio.to_thread(bell.stop)
        return waiting

    assert asyncio.run(use()) == [3, 0]


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


def test_one_row_that_the_database_refuses_fails_alone(fresh: Settings) -> None:
    poisoned = submission(payload={"text": "a\0b"})
    others = [submission() for _ in range(5)]

    [answers] = asyncio.run(accepted(fresh.database_api_url, [[*others[:2], poisoned, *others[2:]]]))

    assert isinstance(answers.pop(2), DatabaseError)
    assert ids(answers) == [one.id for one in others]


def test_one_key_in_one_flush_is_one_job(fresh: Settings) -> None:
    together = [submission(key="same") for _ in range(10)]

    [answers] = asyncio.run(accepted(fresh.database_api_url, [together]))

    assert len(set(ids(answers))) == 1
    assert execute(fresh.database_url, "SELECT count(*) FROM jobs") == [(1,)]


def test_one_key_for_two_bodies_in_one_flush_is_one_job_and_a_refusal(fresh: Settings) -> None:
    bodies = [msgspec.structs.replace(submission(key="same"), fingerprint=body) for body in (b"one", b"other")]

    [answers] = asyncio.run(accepted(fresh.database_api_url, [bodies]))

    assert Counter(type(one) for one in answers) == {Stored: 1, IdempotencyKeyReused: 1}


def test_a_flush_admits_no_more_open_jobs_of_a_caller_than_there_is_room_for(fresh: Settings) -> None:
    many, other = [submission(caller="many") for _ in range(8)], submission(caller="other")

    [answers] = asyncio.run(accepted(fresh.database_api_url, [[*many, other]], open_jobs_max=3))

    assert Counter(type(one) for one in answers[:-1]) == {Stored: 3, TooManyOpenJobs: 5}
    assert ids(answers)[-1] == other.id


def test_whoever_has_too_many_open_jobs_still_gets_back_those_accepted(fresh: Settings) -> None:
    first = [submission() for _ in range(3)]
    again = [submission(key=one.idempotency_key) for one in first]

    _, answers = asyncio.run(accepted(fresh.database_api_url, [first, [*again, submission()]], open_jobs_max=3))

    assert ids(answers) == [*(one.id for one in first), TooManyOpenJobs]


def test_who_is_refused_leaves_no_garbage(fresh: Settings) -> None:
    together = [submission(caller="many") for _ in range(5)]

    async def refused() -> list[weakref.ref[BaseException]]:
        [answers] = await accepted(fresh.database_api_url, [together], open_jobs_max=1)
        return [weakref.ref(one) for one in answers if isinstance(one, TooManyOpenJobs)]

    with garbage.kept():
        assert [refusal() for refusal in asyncio.run(refused())] == [None] * 4


def test_who_is_not_answered_leaves_no_garbage(fresh: Settings) -> None:
    together = [submission() for _ in range(5)]

    async def unanswered() -> list[weakref.ref[BaseException]]:
        [answers] = await accepted(fresh.database_api_url, [together], deadline_seconds=0.1)
        return [weakref.ref(one) for one in answers if isinstance(one, Unanswered)]

    with connected(fresh.database_url) as holder, garbage.kept():
        holder.exec_driver_sql("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        left = [error() for error in asyncio.run(unanswered())]

    assert left
    assert set(left) == {None}


def test_when_the_database_is_away_everybody_hears_of_it(configured: Settings) -> None:
    assert configured.redis_url
    nowhere = f"postgresql+psycopg://tekana_api:secret@127.0.0.1:{ports.free()}/tekana"

    [answers] = asyncio.run(accepted(nowhere, [[submission() for _ in range(3)]]))

    assert [isinstance(one, Exception) and is_unavailable(one) for one in answers] == [True] * 3


def test_a_client_that_goes_away_leaves_its_job_and_the_others_alone(fresh: Settings) -> None:
    leaving, staying = submission(), submission()

    async def leave() -> Stored:
        database, bell = AsyncTransactions(fresh.database_api_url, connections=1), Bell()
        intake = Intake(database, bell, OpenJobs(0))
        gone, stays = (asyncio.ensure_future(intake.accept(one)) for one in (leaving, staying))
        await asyncio.sleep(0)
        gone.cancel()
        try:
            return await stays
        finally:
            await intake.stop()
            await database.close()
            await asyncio.to_thread(bell.stop)

    assert asyncio.run(leave()).job.id == staying.id
    assert execute(fresh.database_url, "SELECT count(*) FROM jobs") == [(2,)]


def test_workers_are_rung_for(fresh: Settings) -> None:
    with redis.Redis.from_url(fresh.redis_url) as broker:
        broker.delete(Queue.TRANSACTIONS)

        async def accept() -> None:
            database, bell = AsyncTransactions(fresh.database_api_url, connections=1), Bell()
            intake = Intake(database, bell, OpenJobs(0))
            await intake.accept(submission())
            async with asyncio.timeout(RING_SECONDS_MAX):
                while not broker.llen(Queue.TRANSACTIONS):  # noqa: ASYNC110 - another thread rings
                    await asyncio.sleep(0.01)
            await intake.stop()
            await database.close()
            await asyncio.to_thread(bell.stop)

        asyncio.run(accept())


def test_the_database_is_the_apis_own_role(fresh: Settings) -> None:
    with pytest.raises(DatabaseError):
        execute(fresh.database_api_url, "UPDATE wallets SET balance = 1")


def test_who_waits_when_the_api_stops_is_told_so(fresh: Settings) -> None:
    async def stopped() -> Answer:
        database, bell = AsyncTransactions(fresh.database_api_url, connections=1), Bell()
        intake = Intake(database, bell, OpenJobs(0))
        waiting = asyncio.ensure_future(intake.accept(submission()))
        await asyncio.sleep(0)
        await intake.stop()
        [answer] = await asyncio.gather(waiting, return_exceptions=True)
        await database.close()
        await asyncio.to_thread(bell.stop)
        return answer

    assert isinstance(asyncio.run(stopped()), Unavailable)


def test_too_many_who_wait_are_told_at_once(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.intake, "WAITING_MAX", 3)

    [answers] = asyncio.run(accepted(fresh.database_api_url, [[submission() for _ in range(5)]]))

    assert [isinstance(one, Unavailable) for one in answers] == [False, False, False, True, True]
