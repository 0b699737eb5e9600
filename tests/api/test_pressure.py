"""Back-pressure: who fills a queue is told to come later, before anything is accepted; the others notice nothing."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from prometheus_client import REGISTRY

import api.intake
from api.errors import Overloaded
from api.intake import Intake
from api.open_jobs import OpenJobs
from api.pressure import Pressure
from db.async_engine import AsyncTransactions
from db.jobs import Stored
from domain.jobs import Kind, Queue
from domain.pressure import Marks, Refusal
from local import ports
from local.stack import Stack
from settings import Settings
from tests.api.clients import Api, Customer, deposit, problem
from tests.api.conftest import FUNDS
from tests.api.processes import serving
from tests.committed import queued
from tests.made import submission
from workers.bell import Bell

MARK = 10
MARKS = Marks(jobs_max=MARK, age_seconds_max=0, batch_max=2)
API_MARK = 30  # Of the API process: half as many more are accepted before it looks again.
LOOK_SECONDS_MAX = 10.0  # A look is taken twice a second, by a process that may have to wait for a core.
NOBODY, SHARE, FULL = None, Refusal.CALLER_SHARE, Refusal.QUEUE_FULL


def refusals(url: str, marks: Marks, callers: Sequence[str]) -> list[Refusal | None]:
    """Take a look, and ask for these callers, one after the other."""

    async def ask() -> list[Refusal | None]:
        database = AsyncTransactions(url, connections=1)
        pressure = Pressure(database, marks)
        await pressure.look()
        try:
            return [pressure.refusal(Queue.TRANSACTIONS, caller) for caller in callers]
        finally:
            await database.close()

    return asyncio.run(ask())


def test_beyond_the_mark_each_has_its_share_and_beyond_twice_the_mark_nobody(fresh: Settings) -> None:
    asked = ["many", *["few"] * 5, "many", "new"]

    queued(fresh.database_url, *(submission(caller="many") for _ in range(MARK - 1)))
    assert refusals(fresh.database_api_url, MARKS, asked) == [NOBODY] * 8
    queued(fresh.database_url, submission(caller="few"))
    # A share is 5: one of them few has, and four more it gets before anybody has looked again.
    assert refusals(fresh.database_api_url, MARKS, asked) == [SHARE, *[NOBODY] * 4, SHARE, SHARE, NOBODY]
    queued(fresh.database_url, *(submission(caller="many") for _ in range(MARK)))
    assert refusals(fresh.database_api_url, MARKS, asked) == [FULL] * 8


def test_a_database_that_is_away_is_no_pressure() -> None:
    nowhere = f"postgresql+psycopg://tekana_api:secret@127.0.0.1:{ports.free()}/tekana"

    assert refusals(nowhere, MARKS, ["many"]) == [NOBODY]


def test_who_is_refused_gets_back_the_jobs_of_known_keys_unless_too_many_ask(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.intake, "FLUSH_MAX", 2)
    known = [submission(caller="many") for _ in range(MARK)]
    queued(fresh.database_url, *known)
    asked = [
        submission(caller="many", key=known[0].idempotency_key),
        submission(caller="many"),
        submission(caller="many"),
    ]
    before = counted(SHARE)

    async def accept() -> list[Stored | BaseException]:
        database, bell = AsyncTransactions(fresh.database_api_url, connections=2), Bell()
        pressure = Pressure(database, MARKS)
        await pressure.look()
        intake = Intake(database, bell, OpenJobs(0), pressure=pressure)
        answers = await asyncio.gather(*(intake.accept(one) for one in asked), return_exceptions=True)
        await intake.stop()
        await database.close()
        await asyncio.to_thread(bell.stop)
        return answers

    first, *others = asyncio.run(accept())
    assert isinstance(first, Stored)
    assert first.job.id == known[0].id
    assert [type(one) for one in others] == [Overloaded, Overloaded]
    assert counted(SHARE) - before == 2


def counted(reason: str) -> float:
    return REGISTRY.get_sample_value("tekana_accept_refused_total", {"reason": reason}) or 0.0


@pytest.fixture(scope="module")
def strict(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API process for which a queue is full soon."""
    log: Path = tmp_path_factory.mktemp("log") / "api.log"
    with serving(stack.env, log, QUEUE_JOBS_MAX=str(API_MARK), BATCH_MAX="1") as api:
        yield api


def test_who_fills_a_queue_is_told_to_come_later_and_others_are_served(
    stack: Stack, strict: Api, ann: Customer, new_customer: Callable[..., Customer]
) -> None:
    eve = new_customer(FUNDS)
    filling, other = strict.holding(eve.access_token), strict.holding(ann.access_token)
    keys = [str(uuid4()) for _ in range(API_MARK)]
    stack.hold("worker-transactions")
    try:
        accepted = [filling.post("/v1/withdrawals", deposit(eve.wallet_id), key=key) for key in keys]
        refused = first_refusal(filling, eve)
        again = filling.post("/v1/withdrawals", deposit(eve.wallet_id), key=keys[0])
        small = other.post("/v1/withdrawals", deposit(ann.wallet_id))
        elsewhere = filling.finished("/v1/wallets", {"currency": "RWF", "type": "saving"})
    finally:
        stack.release("worker-transactions")

    assert {answer.status_code for answer in accepted} == {202}
    assert refused["detail"] == Overloaded.__doc__
    assert (again.json()["id"], again.headers["idempotency-hit"]) == (accepted[0].json()["id"], "true")
    assert small.status_code == 202
    assert elsewhere["kind"] == Kind.WALLET_OPEN
    assert {ended(filling, answer) for answer in accepted} | {ended(other, small)} == {"succeeded"}


def ended(caller: Api, answer: httpx2.Response) -> str:
    """Return how an accepted job ends."""
    state: str = caller.get(answer.headers["location"], headers={"Prefer": "wait=15"}).json()["state"]
    return state


def first_refusal(filling: Api, eve: Customer) -> dict[str, object]:
    """Submit until it is refused: what fills the queue is seen with the next look."""
    deadline = time.monotonic() + LOOK_SECONDS_MAX
    while (response := filling.post("/v1/withdrawals", deposit(eve.wallet_id))).is_success:
        assert time.monotonic() < deadline, "nothing was refused"
        time.sleep(0.1)
    assert response.headers["retry-after"] == "5"
    body: dict[str, object] = problem(response, 503, "overloaded")
    return body
