"""What clients see while a real replica answers reads: sometimes a little less, and never a lie."""

import contextlib
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from local.stack import Stack
from tests.api.clients import Api, Customer, deposit, problem, register, registration, transfer
from tests.api.processes import serving
from tests.conftest import reachable_folder
from tests.standbys import Standby, streaming

AGE_SECONDS_MAX = 4
WAIT_SECONDS_MAX = 30.0
# A read of a replica without its own bound would take a minute, and be told from one on a busy machine.
SLOW = "import db.async_engine; db.async_engine.DEADLINE_SECONDS = 60"
NOW = {"Cache-Control": "max-age=0, no-cache"}
COUNTED = re.compile(r'^tekana_reads_total\{outcome="(\w+)"\} ([\d.]+)$', re.MULTILINE)


@pytest.fixture(scope="module")
def standby(stack: Stack) -> Iterator[Standby]:
    with reachable_folder() as folder, streaming(stack, folder) as standby:
        yield standby


@pytest.fixture(scope="module")
def reader(stack: Stack, standby: Standby, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API process that reads on the replica."""
    log: Path = tmp_path_factory.mktemp("log") / "api.log"
    changes = {
        "DATABASE_READ_URL": standby.url("DATABASE_API_URL"),
        "DATABASE_READ_AGE_SECONDS_MAX": str(AGE_SECONDS_MAX),
    }
    with serving(stack.env, log, altered=SLOW, **changes) as api:
        yield api


@pytest.fixture
def operator_there(reader: Api, operator: Api) -> Api:
    wait_until_asked(reader, operator)
    return reader.holding(operator.token)


@pytest.fixture
def ann_there(reader: Api, operator: Api, ann: Customer) -> Api:
    wait_until_asked(reader, operator)
    return reader.holding(ann.access_token)


@pytest.fixture
def things(operator: Api, standby: Standby, ann: Customer) -> dict[str, str]:
    """Return ids of what both servers have."""
    paid = operator.succeeded("/v1/deposits", deposit(ann.wallet_id))["transaction_id"]
    event = operator.get("/v1/events", event_type="wallet.opened").json()["items"][0]["id"]
    standby.catch_up()
    email = ann.registration["email"]
    return {"wallet": ann.wallet_id, "transaction": paid, "customer": ann.id, "email": email, "event": event}


@contextlib.contextmanager
def behind(standby: Standby) -> Iterator[None]:
    """The replica receives what happens, and does not show it."""
    standby.catch_up()
    standby.pause()
    try:
        yield
    finally:
        standby.resume()
        standby.catch_up()


def counts(reader: Api) -> dict[str, float]:
    return {outcome: float(count) for outcome, count in COUNTED.findall(reader.get("/metrics").text)}


def gained(reader: Api, act: Callable[[], Any]) -> dict[str, float]:
    """Return which reads an act caused, by what became of them."""
    before = counts(reader)
    act()
    after = counts(reader)
    return {outcome: after[outcome] - before[outcome] for outcome in after if after[outcome] > before[outcome]}


def wait_until_asked(reader: Api, operator: Api) -> None:
    caller = reader.holding(operator.token)
    wait_until(lambda: gained(reader, lambda: caller.get("/v1/jobs", limit=1)) == {"replica": 1})


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not is_so():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.05)


PATHS = [
    "/v1/jobs",
    "/v1/wallets",
    "/v1/wallets/{wallet}",
    "/v1/transactions",
    "/v1/transactions?wallet_id={wallet}",
    "/v1/transactions/{transaction}",
    "/v1/customers/{customer}",
    "/v1/customers?email={email}",
]


@pytest.mark.parametrize("path", [*PATHS, "/v1/events", "/v1/events/{event}", "/v1/customers"])
def test_a_read_is_answered_by_the_replica_as_by_the_primary(
    operator_there: Api, operator: Api, things: dict[str, str], path: str
) -> None:
    where = path.format(**things)

    assert gained(operator_there, lambda: operator_there.get(where)) == {"replica": 1}
    assert operator_there.get(where).json() == operator.get(where).json()


@pytest.mark.parametrize("path", [*PATHS, "/v1/customers/me"])
def test_a_customer_sees_the_same_there(ann_there: Api, ann: Customer, things: dict[str, str], path: str) -> None:
    where = path.format(**things)

    assert gained(ann_there, lambda: ann_there.get(where)) == {"replica": 1}
    assert ann_there.get(where).json() == ann.api.get(where).json()


@pytest.mark.parametrize("path", ["/v1/wallets/{}", "/v1/wallets/{}/entries", "/v1/transactions?wallet_id={}"])
def test_what_is_another_customers_is_not_found_there_either(ann_there: Api, bob: Customer, path: str) -> None:
    problem(ann_there.get(path.format(bob.wallet_id)), 404, "not_found")


def test_an_accepted_job_is_always_found(operator_there: Api, standby: Standby, ann: Customer) -> None:
    with behind(standby):
        for _ in range(20):
            accepted = operator_there.post("/v1/deposits", deposit(ann.wallet_id))
            assert operator_there.get(accepted.headers["location"]).json()["id"] == accepted.json()["id"]


def test_a_job_that_was_seen_to_end_never_waits_again(
    operator_there: Api, standby: Standby, ann: Customer, stack: Stack
) -> None:
    """Neither the cache nor luck may answer here: both are emptied, and the replica knows the job as queued."""
    stack.hold("worker-transactions")
    try:
        accepted = operator_there.post("/v1/deposits", deposit(ann.wallet_id))
        standby.catch_up()
        standby.pause()
    finally:
        stack.release("worker-transactions")
    where = accepted.headers["location"]
    try:
        ended = operator_there.get(where, headers={"Prefer": "wait=20"}).json()
        states = [operator_there.get(where).json() for _ in range(10)]
    finally:
        standby.resume()
        standby.catch_up()
    assert ended["state"] == "succeeded"
    assert states == [ended] * 10


def test_what_a_job_made_is_found_before_the_replica_has_it(
    operator_there: Api, operator: Api, standby: Standby, ann: Customer
) -> None:
    with behind(standby):
        newcomer = register(Api(operator_there.http), **registration())
        paid = operator_there.succeeded("/v1/deposits", deposit(newcomer.wallet_id, 7_00))["transaction_id"]
        caller = operator_there.holding(newcomer.access_token)
        event = latest_event(operator)
        told = operator_there.get(f"/v1/events/{event}").json()
        onwards = operator_there.get("/v1/events", after=event)
        answers = [
            caller.get("/v1/customers/me"),
            caller.get(f"/v1/wallets/{newcomer.wallet_id}"),
            caller.get(f"/v1/transactions/{paid}"),
            caller.get("/v1/transactions", wallet_id=newcomer.wallet_id),
            caller.post("/v1/transfers", transfer(newcomer.wallet_id, ann.wallet_id)),
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 202]
    assert (told["id"], onwards.status_code) == (event, 200)


def latest_event(operator: Api) -> str:
    """Read the feed to its end, on the primary."""
    page = operator.get("/v1/events", limit=200).json()
    while page["has_more"]:
        page = operator.get("/v1/events", after=page["next_cursor"], limit=200).json()
    return str(page["items"][-1]["id"])


def test_a_list_may_lag_for_a_while_and_says_what_is_true_to_whoever_asks_for_that(
    operator_there: Api, standby: Standby, ann: Customer
) -> None:
    statement = f"/v1/wallets/{ann.wallet_id}/entries"
    before = operator_there.get(statement, headers=NOW).json()["items"][0]
    with behind(standby):
        paid = operator_there.succeeded("/v1/deposits", deposit(ann.wallet_id))["transaction_id"]
        assert operator_there.get(statement).json()["items"][0] == before
        assert operator_there.get(statement, headers=NOW).json()["items"][0]["transaction_id"] == paid
        balance = operator_there.get(f"/v1/wallets/{ann.wallet_id}", headers=NOW).json()["balance"]
        assert balance == before["balance_after"] + 1
        wait_until(lambda: operator_there.get(statement).json()["items"][0]["transaction_id"] == paid)
    operator_there.get(statement)


def test_no_row_is_skipped_between_a_page_of_the_primary_and_the_next(
    operator_there: Api, standby: Standby, ann: Customer
) -> None:
    statement = f"/v1/wallets/{ann.wallet_id}/entries"
    with behind(standby):
        paid = [operator_there.succeeded("/v1/deposits", deposit(ann.wallet_id))["transaction_id"] for _ in range(3)]
        page = operator_there.get(statement, limit=1, headers=NOW).json()
        seen = [page["items"][0]["transaction_id"]]
        while len(seen) < len(paid):
            page = operator_there.get(statement, limit=1, cursor=page["next_cursor"]).json()
            seen.append(page["items"][0]["transaction_id"])
    assert seen == paid[::-1]


def test_how_old_the_replica_may_be_is_shown(reader: Api, operator_there: Api) -> None:
    assert operator_there.token
    [age] = re.findall(r"^tekana_replica_age_seconds (\S+)$", reader.get("/metrics").text, re.MULTILINE)
    assert 0 <= float(age) < AGE_SECONDS_MAX


def test_a_dead_replica_is_not_missed_and_is_asked_again_when_it_is_back(
    operator_there: Api, operator: Api, standby: Standby
) -> None:
    standby.stop(signal.SIGKILL)
    try:
        answers = [operator_there.get("/v1/wallets", limit=1) for _ in range(20)]
    finally:
        standby.start()
    assert {answer.status_code for answer in answers} == {200}
    wait_until_asked(operator_there, operator)


def test_a_frozen_replica_holds_nobody_up_for_long(operator_there: Api, standby: Standby) -> None:
    """One read waits for it, or none when a look was first."""
    answers: list[httpx2.Response] = []
    standby.freeze()
    try:
        began = time.monotonic()
        asked = gained(
            operator_there, lambda: answers.extend(operator_there.get("/v1/wallets", limit=1) for _ in range(20))
        )
        took = time.monotonic() - began
    finally:
        standby.thaw()
    assert {answer.status_code for answer in answers} == {200}
    assert asked in ({"failed": 1, "primary": 19}, {"primary": 20})
    assert took < WAIT_SECONDS_MAX


def test_a_replica_that_is_away_at_the_start_is_done_without(
    stack: Stack, operator: Api, tmp_path: Path, ann: Customer
) -> None:
    nowhere = "postgresql+psycopg://tekana_api:x@127.0.0.1:1/tekana"
    with serving(stack.env, tmp_path / "api.log", DATABASE_READ_URL=nowhere) as api:
        caller = api.holding(operator.token)
        assert caller.get(f"/v1/wallets/{ann.wallet_id}").status_code == 200
        assert msgspec.json.decode(caller.get("/health/ready").content)["status"] == "ok"
