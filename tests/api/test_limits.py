"""How often a caller may come: counted over all API processes, per caller, and never by what a client claims."""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import redis
import structlog.testing
from litestar import Request

import api.limits
from api.errors import TooManyRequests
from api.limits import KEYS, TOLD, Limits, Rate, address
from local.stack import Stack
from settings import Settings
from tests.absent import KINDS, away
from tests.api.clients import PASSWORD, Api, Customer, deposit, problem, registration
from tests.api.conftest import FUNDS, NewKey
from tests.api.processes import PATIENT, forget_this_address, serving
from tests.sinks import Sinks

LOGINS, ADDRESS_LOGINS, REGISTRATIONS, POSTS, BULKS, OPEN_JOBS = 3, 100, 4, 20, 2, 5
TRIALS = 20
BURST_MAX = 50
CLAIMS = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP")
FORGET_SECONDS_MAX = 1.5


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes longer than a request may wait for Redis; then a process would count alone."""
    monkeypatch.setattr(api.limits, "TIMEOUT_SECONDS", 10)


@pytest.fixture(autouse=True)
def uncounted(stack: Stack) -> None:
    forget_this_address(stack.redis_url)


@pytest.fixture(scope="module")
def processes(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Api]]:
    """Two API processes with limits so strict that a test meets them."""
    log: Path = tmp_path_factory.mktemp("log") / "api.log"
    limits = {
        "LOGINS_PER_MINUTE_MAX": str(LOGINS),
        "REGISTRATIONS_PER_MINUTE_MAX": str(REGISTRATIONS),
        "LOGINS_PER_ADDRESS_MAX": str(ADDRESS_LOGINS),
        "POSTS_PER_MINUTE_MAX": str(POSTS),
        "BULKS_PER_MINUTE_MAX": str(BULKS),
        "OPEN_JOBS_MAX": str(OPEN_JOBS),
    }
    with (
        serving(stack.env, log, altered=PATIENT, **limits) as one,
        serving(stack.env, log, altered=PATIENT, **limits) as other,
    ):
        yield [one, other]


@pytest.fixture(scope="module")
def strict(processes: list[Api]) -> Api:
    return processes[0]


@pytest.fixture
def held(stack: Stack, eve: Customer, ann: Customer) -> Iterator[None]:
    """Keep the worker that moves money away, once these have theirs."""
    del eve, ann
    stack.hold("worker-transactions")
    yield
    stack.release("worker-transactions")


@pytest.fixture
def eve(new_customer: Callable[..., Customer]) -> Customer:
    return new_customer(FUNDS)


def limited(response: httpx2.Response, code: str = "rate_limited", seconds_max: int = 60) -> None:
    problem(response, 429, code)
    assert 1 <= int(response.headers["retry-after"]) <= seconds_max


def left(response: httpx2.Response, rate: str) -> int:
    found = re.search(rf'"{rate}";r=(\d+);t=\d+', response.headers["ratelimit"])
    assert found, response.headers
    return int(found[1])


def asked() -> Any:
    """Return the scope of a request, as much of it as limits need."""
    return {"state": {}}


def test_whoever_comes_too_often_costs_no_hash_of_a_password(strict: Api, new_key: NewKey) -> None:
    client = strict.holding(new_key("customers:write").token)
    answers = [client.post("/v1/customers", registration(phone="123")) for _ in range(POSTS + 1)]

    for answer in answers[:-1]:
        problem(answer, 400, "invalid_request")
    problem(answers[-1], 429, "rate_limited")


def test_logins_of_one_email_are_limited_over_all_processes(processes: list[Api], eve: Customer) -> None:
    body = {"email": eve.registration["email"], "password": PASSWORD}

    answers = [process.post("/v1/auth/login", body) for process in islice(cycle(processes), LOGINS + 2)]

    assert [answer.status_code for answer in answers] == [200] * LOGINS + [429] * 2
    limited(answers[-1])


@pytest.mark.parametrize("trial", range(TRIALS))
def test_a_limit_is_exact_when_all_come_at_the_same_moment(processes: list[Api], eve: Customer, trial: int) -> None:
    callers = [process.holding(eve.access_token) for process in processes]

    def ask(number: int) -> httpx2.Response:
        claims = dict.fromkeys(CLAIMS, f"203.0.113.{trial + number}")
        return callers[number % 2].post("/v1/withdrawals", deposit(eve.wallet_id), headers=claims)

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(POSTS + 12)))

    passed = [answer for answer in answers if answer.json().get("code") != "rate_limited"]
    assert len(passed) == POSTS
    assert sorted(left(answer, "post") for answer in passed) == list(range(POSTS))


def test_answers_say_what_is_left_of_a_rate(strict: Api, eve: Customer) -> None:
    email = eve.registration["email"]
    body = {"email": email, "password": "wrong horse"}

    answers = [strict.post("/v1/auth/login", body) for _ in range(LOGINS + 1)]

    policies = {answer.headers["ratelimit-policy"] for answer in answers}
    assert policies == {f'"login";q={LOGINS};w=60, "login-address";q={ADDRESS_LOGINS};w=60'}
    assert [left(answer, "login") for answer in answers] == [2, 1, 0, 0]
    assert f'"login";r=0;t={answers[-1].headers["retry-after"]}' in answers[-1].headers["ratelimit"]


def test_a_route_or_a_process_without_limits_says_nothing_of_rates(strict: Api, anyone: Api, eve: Customer) -> None:
    answers = [
        strict.holding(eve.access_token).get("/v1/customers/me"),
        anyone.holding(eve.access_token).post("/v1/withdrawals", deposit(eve.wallet_id)),
    ]
    assert [name for answer in answers for name in answer.headers if name.startswith("ratelimit")] == []


def test_bulks_are_limited_by_a_rate_of_their_own_before_they_are_read(processes: list[Api], eve: Customer) -> None:
    callers = [process.holding(eve.access_token) for process in processes]

    answers = [caller.post("/v1/transfers/bulk", {"mode": "none"}) for caller in islice(cycle(callers), BULKS + 1)]

    assert [answer.status_code for answer in answers] == [400] * BULKS + [429]
    assert [left(answer, "bulk") for answer in answers] == [1, 0, 0]
    limited(answers[-1])


def test_a_refused_request_counts_for_none_of_its_rates(stack: Stack) -> None:
    async def left_of_other() -> list[tuple[str, int]]:
        limits = Limits(Settings(redis_url=stack.redis_url, logins_per_minute_max=1, logins_per_address_max=5))
        who, scope = {Rate.LOGIN: str(uuid4()), Rate.LOGIN_ADDRESS: str(uuid4())}, asked()
        await limits.hit(asked(), who)
        with pytest.raises(TooManyRequests):
            await limits.hit(asked(), who)
        await limits.hit(scope, {Rate.LOGIN_ADDRESS: who[Rate.LOGIN_ADDRESS]})
        await limits.close()
        return [(one.rate, one.left) for one in scope["state"][TOLD]]

    assert asyncio.run(left_of_other()) == [("login-address", 3)]


def test_a_place_is_free_again_a_window_after_it_was_taken(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.limits, "WINDOW_SECONDS", 1)

    async def seconds_of_three() -> float:
        limits = Limits(Settings(redis_url=stack.redis_url, logins_per_minute_max=2))
        who, began, passed = {Rate.LOGIN: str(uuid4())}, time.monotonic(), 0
        while passed < 3:
            with contextlib.suppress(TooManyRequests):
                await limits.hit(asked(), who)
                passed += 1
            await asyncio.sleep(0.02)
        await limits.close()
        return time.monotonic() - began

    assert asyncio.run(seconds_of_three()) >= 1


def test_the_limit_of_logins_is_the_same_for_an_email_that_nobody_has(strict: Api) -> None:
    body = {"email": f"{uuid4()}@example.com", "password": PASSWORD}

    answers = [strict.post("/v1/auth/login", body) for _ in range(LOGINS + 1)]

    assert [answer.status_code for answer in answers] == [401] * LOGINS + [429]


def test_another_spelling_of_an_email_is_no_other_email(strict: Api, eve: Customer) -> None:
    email = eve.registration["email"]
    spellings = (email, email.upper(), email.title(), email.replace("example", "EXAMPLE"))

    answers = [strict.post("/v1/auth/login", {"email": one, "password": "wrong horse"}) for one in spellings]

    assert [answer.status_code for answer in answers] == [401] * LOGINS + [429]


def test_somebody_elses_logins_do_not_count(strict: Api, eve: Customer, ann: Customer) -> None:
    for _ in range(LOGINS + 1):
        strict.post("/v1/auth/login", {"email": eve.registration["email"], "password": "wrong horse"})

    body = {"email": ann.registration["email"], "password": PASSWORD}
    assert strict.post("/v1/auth/login", body).status_code == 200


def test_registrations_from_one_address_are_limited_whatever_it_claims_to_be(processes: list[Api]) -> None:
    answers = [
        process.post("/v1/customers", registration(), headers=dict.fromkeys(CLAIMS, f"203.0.113.{number}"))
        for number, process in enumerate(islice(cycle(processes), REGISTRATIONS + 2))
    ]

    assert [answer.status_code for answer in answers] == [202] * REGISTRATIONS + [429] * 2
    limited(answers[-1])


def test_messages_that_one_caller_asks_for_are_limited_like_jobs(
    processes: list[Api], new_key: NewKey, sink: Sinks
) -> None:
    key = new_key("webhooks:read", "webhooks:write")
    made = key.post("/v1/webhook-endpoints", {"url": sink.open().url}).json()
    path = f"/v1/webhook-endpoints/{made['id']}/test"
    callers = [process.holding(key.token) for process in processes]

    answers = [caller.post(path) for caller in islice(cycle(callers), POSTS + 2)]

    assert [answer.status_code for answer in answers] == [202] * POSTS + [429] * 2
    limited(answers[-1])
    limited(callers[0].post(f"/v1/webhook-deliveries/{answers[0].json()['id']}/redeliver"))


def test_jobs_of_one_caller_are_limited_whatever_address_it_claims(
    processes: list[Api], operator: Api, eve: Customer
) -> None:
    callers = [process.holding(eve.access_token) for process in processes]

    answers = [
        caller.post("/v1/withdrawals", deposit(eve.wallet_id), headers=dict.fromkeys(CLAIMS, f"203.0.113.{number}"))
        for number, caller in enumerate(islice(cycle(callers), POSTS + 1))
    ]

    assert {answer.status_code for answer in answers[:POSTS]} <= {202, 429}
    assert {answer.json().get("code") for answer in answers[:POSTS]} <= {None, "too_many_open_jobs"}
    limited(answers[-1])
    assert operator.post("/v1/deposits", deposit(eve.wallet_id)).status_code == 202


def test_a_request_that_was_refused_by_a_limit_does_not_consume_its_key(
    strict: Api, held: None, eve: Customer, anyone: Api
) -> None:
    del held
    caller, key = strict.holding(eve.access_token), str(uuid4())
    for _ in range(OPEN_JOBS):
        caller.post("/v1/withdrawals", deposit(eve.wallet_id))

    limited(caller.post("/v1/withdrawals", deposit(eve.wallet_id), key=key), "too_many_open_jobs")

    unlimited = anyone.holding(eve.access_token)
    response = unlimited.post("/v1/withdrawals", deposit(eve.wallet_id), key=key)
    assert (response.status_code, response.headers.get("idempotency-hit")) == (202, None)


def test_open_jobs_of_one_caller_are_limited_and_those_accepted_are_given_again(
    strict: Api, held: None, eve: Customer, ann: Customer
) -> None:
    del held
    caller, keys = strict.holding(eve.access_token), [str(uuid4()) for _ in range(OPEN_JOBS)]
    accepted = [caller.post("/v1/withdrawals", deposit(eve.wallet_id), key=key) for key in keys]

    refused = caller.post("/v1/withdrawals", deposit(eve.wallet_id))
    again = [caller.post("/v1/withdrawals", deposit(eve.wallet_id), key=key) for key in keys]

    assert {answer.status_code for answer in accepted} == {202}
    limited(refused, "too_many_open_jobs")
    assert [answer.json() for answer in again] == [answer.json() for answer in accepted]
    assert strict.holding(ann.access_token).post("/v1/withdrawals", deposit(ann.wallet_id)).status_code == 202


def test_jobs_are_accepted_again_once_others_have_ended(stack: Stack, strict: Api, eve: Customer) -> None:
    caller = strict.holding(eve.access_token)
    stack.hold("worker-transactions")
    try:
        open_jobs = [caller.post("/v1/withdrawals", deposit(eve.wallet_id)).json()["id"] for _ in range(OPEN_JOBS)]
        limited(caller.post("/v1/withdrawals", deposit(eve.wallet_id)), "too_many_open_jobs")
    finally:
        stack.release("worker-transactions")
    for job_id in open_jobs:
        caller.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=15"})

    assert caller.post("/v1/withdrawals", deposit(eve.wallet_id)).status_code == 202


def test_a_logout_ends_access_in_other_processes_within_a_second_or_so(anyone: Api, strict: Api, eve: Customer) -> None:
    caller = strict.holding(eve.access_token)
    assert caller.get("/v1/customers/me").status_code == 200
    anyone.post("/v1/auth/logout", {"refresh_token": eve.refresh_token})
    started = sent = time.monotonic()

    while caller.get("/v1/customers/me").status_code != 401:
        assert sent < started + FORGET_SECONDS_MAX, "still let in"
        time.sleep(0.05)
        sent = time.monotonic()


async def count(redis_url: str, hits: int, who: str) -> int:
    """Hit a limit of two a minute; return how many hits passed."""
    limits = Limits(Settings(redis_url=redis_url, logins_per_minute_max=2))
    passed = 0
    for _ in range(hits):
        with contextlib.suppress(TooManyRequests):
            await limits.hit(asked(), {Rate.LOGIN: who})
            passed += 1
    await limits.close()
    return passed


@pytest.mark.parametrize("kind", KINDS)
def test_without_redis_a_process_counts_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.limits, "TIMEOUT_SECONDS", 0.25)
    with away(kind) as url:
        assert asyncio.run(count(url, 5, "somebody")) == 2


@pytest.mark.parametrize("trial", range(3))
def test_a_burst_in_one_process_does_not_switch_its_limits_off(stack: Stack, trial: int) -> None:
    async def burst() -> int:
        limits = Limits(Settings(redis_url=stack.redis_url, logins_per_minute_max=BURST_MAX))
        who = {Rate.LOGIN: f"{trial}:{uuid4()}"}
        try:
            results = await asyncio.gather(*(limits.hit(asked(), who) for _ in range(300)), return_exceptions=True)
        finally:
            await limits.close()
        assert {type(one) for one in results} == {type(None), TooManyRequests}
        return results.count(None)

    with structlog.testing.capture_logs() as said:
        assert asyncio.run(burst()) == BURST_MAX
    assert said == []


def test_after_the_clock_of_redis_went_back_nobody_waits_for_longer_than_a_window(stack: Stack) -> None:
    who, ahead = str(uuid4()), (time.time() + 3_600) * 1000

    async def wait() -> list[int]:
        limits = Limits(Settings(redis_url=stack.redis_url, logins_per_minute_max=2))
        with pytest.raises(TooManyRequests) as refused:
            await limits.hit(asked(), {Rate.LOGIN: who})
        await limits.close()
        return [int(seconds) for seconds in refused.value.headers.values()]

    with redis.Redis.from_url(stack.redis_url) as client:
        client.lpush(KEYS[Rate.LOGIN] + who, int(ahead), int(ahead) + 1)
        assert asyncio.run(wait()) == [60]
        kept = [int(one) for one in client.lrange(KEYS[Rate.LOGIN] + who, 0, -1)]
    assert max(kept) < ahead - 3_000_000


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:DB8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("x" * 1_000, "unknown"),
        (None, "unknown"),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(host: str | None, counted: str) -> None:
    request: Request[Any, Any, Any] = Request({"type": "http", "client": host and (host, 1), "headers": []})  # type: ignore[arg-type] # as much of it as is asked for
    assert address(request) == counted


def test_each_is_counted_alone(stack: Stack) -> None:
    who, other = str(uuid4()), str(uuid4())

    assert asyncio.run(count(stack.redis_url, 5, who)) == 2
    assert asyncio.run(count(stack.redis_url, 1, who)) == 0
    assert asyncio.run(count(stack.redis_url, 5, other)) == 2
