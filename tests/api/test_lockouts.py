"""Failed logins in a row: who has to wait, how long, and who has not."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import redis
import structlog.testing

import api.breaker
import api.lockouts
from api.errors import LoginLocked
from api.lockouts import EVERYWHERE, FORGET_SECONDS, LONGEST_SECONDS, RECENT, Lockouts, lift
from local.stack import Stack
from settings import Settings
from tests.absent import KINDS, away
from tests.api.clients import PASSWORD, Api, Customer, problem
from tests.api.conftest import Sql
from tests.api.processes import ALL_WAIT, PATIENT, serving

FAILURES = 3
HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty connections at once take a busy machine longer than a login may wait; then nothing would be counted."""
    monkeypatch.setattr(api.lockouts, "TIMEOUT_SECONDS", 10)


@pytest.fixture(scope="module")
def processes(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Api]]:
    log: Path = tmp_path_factory.mktemp("log") / "api.log"
    limits = {"LOGIN_FAILURES_MAX": str(FAILURES)}
    with (
        serving(stack.env, log, altered=PATIENT, **limits) as one,
        serving(stack.env, log, altered=PATIENT, **limits) as other,
    ):
        yield [one, other]


@pytest.fixture
def eve(new_customer: Callable[..., Customer]) -> Customer:
    return new_customer()


def log_in(process: Api, email: str, password: str = PASSWORD, **claims: str) -> httpx2.Response:
    return process.post("/v1/auth/login", {"email": email, "password": password}, headers=claims)


def said(response: httpx2.Response) -> dict[str, Any]:
    """Return an answer without what differs from request to request."""
    body: dict[str, Any] = response.json()
    headers = {name for name in response.headers if name not in {"x-request-id", "date"}}
    return {"status": response.status_code, "headers": headers} | {k: v for k, v in body.items() if k != "request_id"}


def test_after_some_failures_even_the_right_password_has_to_wait(processes: list[Api], eve: Customer) -> None:
    email = eve.registration["email"]
    for number in range(FAILURES):
        answer = log_in(processes[number % 2], email, "wrong", **{"X-Forwarded-For": f"203.0.113.{number}"})
        problem(answer, 401, "invalid_credentials")

    answer = log_in(processes[0], email)

    problem(answer, 429, "login_locked")
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_nothing_tells_whether_an_email_is_somebodys(processes: list[Api], eve: Customer) -> None:
    emails = (eve.registration["email"], f"{uuid4()}@example.com")

    told = [[said(log_in(processes[0], email, "wrong")) for _ in range(FAILURES + 2)] for email in emails]

    assert told[0] == told[1]
    assert [one["status"] for one in told[0]] == [401] * FAILURES + [429] * 2


def test_a_right_password_forgets_failures(processes: list[Api], eve: Customer) -> None:
    email = eve.registration["email"]
    for _ in range(FAILURES):
        for _ in range(FAILURES - 1):
            log_in(processes[0], email, "wrong")
        assert log_in(processes[1], email).status_code == 200


def test_who_is_locked_out_goes_on_with_a_refresh_token(processes: list[Api], eve: Customer) -> None:
    for _ in range(FAILURES + 1):
        answer = log_in(processes[0], eve.registration["email"], "wrong")

    refreshed = processes[0].post("/v1/auth/refresh", {"refresh_token": eve.refresh_token})

    assert (answer.status_code, refreshed.status_code) == (429, 200)


def test_others_lock_nobody_out_of_where_they_logged_in_before(
    stack: Stack, tmp_path: Path, eve: Customer, sql: Sql
) -> None:
    email, home, abroad = eve.registration["email"], "192.0.2.77", "192.0.2.78"
    networks = [f"2001:db8:0:{number:x}::1" for number in range(EVERYWHERE * FAILURES)]
    limits = {"LOGIN_FAILURES_MAX": str(FAILURES), "TRUSTED_PROXIES": "127.0.0.1"}
    with serving(stack.env, tmp_path / "log", altered=PATIENT, **limits) as behind_us:
        assert log_in(behind_us, email, **{"X-Forwarded-For": home}).status_code == 200
        for network in networks:
            log_in(behind_us, email, "wrong", **{"X-Forwarded-For": network})
        problem(log_in(behind_us, email, **{"X-Forwarded-For": abroad}), 429, "login_locked")
        assert log_in(behind_us, email, **{"X-Forwarded-For": home}).status_code == 200
    assert {row["length"] for row in sql("SELECT DISTINCT length(place) FROM sessions WHERE place IS NOT NULL")} == {64}


def test_a_login_that_is_refused_because_too_many_others_wait_is_no_failed_one(
    processes: list[Api], stack: Stack, tmp_path: Path, eve: Customer
) -> None:
    email, altered = eve.registration["email"], f"{PATIENT}; {ALL_WAIT}"
    with serving(stack.env, tmp_path / "log", altered=altered, LOGIN_FAILURES_MAX=str(FAILURES)) as busy:
        for _ in range(2 * FAILURES):
            problem(log_in(busy, email, "wrong"), 429, "rate_limited")

    assert log_in(processes[0], email).status_code == 200


def run(stack: Stack, steps: Callable[[Lockouts], Coroutine[Any, Any, Any]], url: str = "") -> Any:
    async def scenario() -> Any:
        lockouts = Lockouts(Settings(redis_url=url or stack.redis_url, login_failures_max=FAILURES))
        try:
            return await steps(lockouts)
        finally:
            await lockouts.close()

    return asyncio.run(scenario())


async def waits(lockouts: Lockouts, email: str, place: str = HERE, *, is_known: bool = False) -> int:
    """Begin an attempt; return for how many seconds it is refused."""
    try:
        await lockouts.begin(email, place, is_known=is_known)
    except LoginLocked as locked:
        return int(locked.headers["Retry-After"])
    return 0


def minutes(seconds: list[int]) -> list[int]:
    """Round up: on a busy machine some of what has to be waited for is over when somebody asks."""
    return [math.ceil(one / 60) for one in seconds]


@pytest.fixture
def client(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stack.redis_url) as made:
        yield made


def counters(client: redis.Redis, email: str = "") -> list[bytes]:
    return list(client.scan_iter(f"lockout:{email}*"))


def serve_time(client: redis.Redis, email: str) -> None:
    """Let what has to be waited for be over."""
    for key in counters(client, email):
        client.hdel(key, "until")


def an_email() -> str:
    return uuid4().hex


def test_each_failure_has_to_wait_twice_as_long_up_to_a_quarter_of_an_hour(stack: Stack, client: redis.Redis) -> None:
    email = an_email()

    async def grow(lockouts: Lockouts) -> list[int]:
        found = [await waits(lockouts, email) for _ in range(FAILURES)]
        for _ in range(6):
            found.append(await waits(lockouts, email))
            serve_time(client, email)
            await waits(lockouts, email)
        return found

    assert minutes(run(stack, grow)) == [0] * FAILURES + [1, 2, 4, 8, 15, 15]


def test_who_asks_again_while_it_is_locked_prolongs_nothing(stack: Stack) -> None:
    email = an_email()

    async def insist(lockouts: Lockouts) -> list[int]:
        for _ in range(FAILURES):
            await lockouts.begin(email, HERE, is_known=False)
        return [await waits(lockouts, email) for _ in range(20)]

    found = run(stack, insist)
    assert found == sorted(found, reverse=True)
    assert 1 <= found[-1] <= found[0] <= 60


def test_attempts_at_the_same_moment_are_no_more_guesses(stack: Stack) -> None:
    email = an_email()

    async def rush(lockouts: Lockouts) -> list[int]:
        return await asyncio.gather(*(waits(lockouts, email) for _ in range(300)))

    assert run(stack, rush).count(0) == FAILURES


def test_a_guesser_locks_out_the_owner_only_from_many_addresses(stack: Stack) -> None:
    email = an_email()

    async def guess(lockouts: Lockouts, places: int) -> list[int]:
        guessed = [await waits(lockouts, email, f"198.51.100.{one}") for one in range(places) for _ in range(20)]
        return [guessed.count(0), await waits(lockouts, email, THERE)]

    assert run(stack, lambda lockouts: guess(lockouts, EVERYWHERE - 1)) == [FAILURES * (EVERYWHERE - 1), 0]
    guessed, wait = run(stack, lambda lockouts: guess(lockouts, EVERYWHERE))
    assert (guessed, minutes([wait])) == (FAILURES - 1, [1])


async def lock_everywhere(lockouts: Lockouts, email: str) -> None:
    for number in range(EVERYWHERE * FAILURES):
        await waits(lockouts, email, f"198.51.100.{number}")


def test_the_owner_comes_in_from_a_known_place_whatever_fails_elsewhere(stack: Stack) -> None:
    email = an_email()

    async def come(lockouts: Lockouts) -> list[int]:
        await lock_everywhere(lockouts, email)
        return [
            await waits(lockouts, email, THERE),
            *[await waits(lockouts, email, HERE, is_known=True) for _ in range(FAILURES + 1)],
        ]

    assert minutes(run(stack, come)) == [1, *[0] * FAILURES, 1]


def test_success_forgets_what_failed_at_its_place_and_not_what_failed_elsewhere(
    stack: Stack, client: redis.Redis
) -> None:
    email = an_email()

    async def succeed(lockouts: Lockouts) -> list[int]:
        await lock_everywhere(lockouts, email)
        serve_time(client, email)
        await lockouts.succeed(await lockouts.begin(email, THERE, is_known=False))
        again = [await waits(lockouts, email, THERE, is_known=True) for _ in range(FAILURES + 1)]
        return [*again, await waits(lockouts, email, "203.0.113.1"), await waits(lockouts, email, "203.0.113.2")]

    assert minutes(run(stack, succeed)) == [*[0] * FAILURES, 1, 0, 2]


def test_what_was_not_tried_counts_for_nothing(stack: Stack) -> None:
    email = an_email()

    async def withdraw(lockouts: Lockouts) -> list[int]:
        for _ in range(FAILURES - 1):
            await lockouts.begin(email, HERE, is_known=False)
        for _ in range(2 * FAILURES):
            await lockouts.withdraw(await lockouts.begin(email, HERE, is_known=False))
        return [await waits(lockouts, email) for _ in range(2)]

    assert minutes(run(stack, withdraw)) == [0, 1]


def test_an_attempt_that_was_withdrawn_leaves_nothing(stack: Stack, client: redis.Redis) -> None:
    email = an_email()

    async def withdraw(lockouts: Lockouts) -> None:
        await lockouts.withdraw(await lockouts.begin(email, HERE, is_known=False))

    run(stack, withdraw)
    assert counters(client, email) == []


def test_an_hour_without_a_failure_forgets(stack: Stack, client: redis.Redis) -> None:
    email = an_email()

    run(stack, lambda lockouts: waits(lockouts, email))

    lives = [client.pttl(key) for key in counters(client, email)]
    assert len(lives) == 2
    assert all(0 < life <= 1000 * FORGET_SECONDS for life in lives)
    assert LONGEST_SECONDS < FORGET_SECONDS == 3_600


def test_counters_are_small_and_those_of_long_ago_make_room(
    stack: Stack, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.lockouts, "KEPT_MAX", 10)
    emails = [an_email() * 2 for _ in range(20)]

    async def fill(lockouts: Lockouts) -> None:
        for email in emails:
            await waits(lockouts, email, f"{HERE}{email}")
            await asyncio.sleep(0.002)  # The order of those of the same millisecond is not defined.

    run(stack, fill)
    left = counters(client)
    assert {key.split(b":")[1].decode() for key in left} == {email[:32] for email in emails[-5:]}
    assert client.zcard(RECENT) == len(left) == 10
    assert max(map(len, left)) <= 80


def test_after_the_clock_of_redis_went_back_nobody_waits_longer_than_they_had_to(
    stack: Stack, client: redis.Redis
) -> None:
    email = an_email()

    async def go_back(lockouts: Lockouts) -> list[int]:
        for _ in range(FAILURES):
            await waits(lockouts, email)
        for key in counters(client, email):
            client.hset(key, "until", int((time.time() + 86_400) * 1000))
        first = await waits(lockouts, email)
        kept = [float(client.hget(key, "until") or 0) for key in counters(client, email)]
        return [first, math.ceil(max(kept) / 1000 - time.time())]

    assert minutes(run(stack, go_back)) == [1, 1]


def test_an_operator_lets_one_person_in(stack: Stack, client: redis.Redis) -> None:
    email, other = an_email(), an_email()

    async def lock(lockouts: Lockouts) -> None:
        for one in (email, other):
            await lock_everywhere(lockouts, one)
            for _ in range(FAILURES):
                await waits(lockouts, one)

    async def both(lockouts: Lockouts) -> list[int]:
        return [await waits(lockouts, one) for one in (email, other)]

    run(stack, lock)
    assert lift(client, email) == 1 + EVERYWHERE * FAILURES
    assert minutes(run(stack, both)) == [0, 1]
    assert lift(client, an_email()) == 0


@pytest.fixture(params=KINDS)
def absent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Redis that is not there, or gives no answer in time, or none to the question."""
    monkeypatch.setattr(api.lockouts, "TIMEOUT_SECONDS", 0.25)
    with away(request.param) as url:
        yield url


def test_without_redis_a_process_counts_failures_alone(stack: Stack, absent: str) -> None:
    async def fail(lockouts: Lockouts) -> list[int]:
        return [await waits(lockouts, "somebody") for _ in range(FAILURES + 2)]

    found = run(stack, fail, absent)
    assert found[:FAILURES] == [0] * FAILURES
    assert all(LONGEST_SECONDS - 60 <= one <= LONGEST_SECONDS for one in found[FAILURES:])


def test_without_redis_others_lock_nobody_out_of_a_known_place(stack: Stack, absent: str) -> None:
    async def come(lockouts: Lockouts) -> list[int]:
        await lock_everywhere(lockouts, "somebody")
        return [await waits(lockouts, "somebody", THERE), await waits(lockouts, "somebody", HERE, is_known=True)]

    assert minutes(run(stack, come, absent)) == [LONGEST_SECONDS // 60, 0]


def test_without_redis_success_forgets_and_what_was_not_tried_counts_for_nothing(stack: Stack, absent: str) -> None:
    async def end(lockouts: Lockouts) -> list[int]:
        found = []
        for end in [lockouts.withdraw] * (2 * FAILURES) + [lockouts.succeed]:
            await end(await lockouts.begin("somebody", HERE, is_known=False))
        for _ in range(2):
            found += [await waits(lockouts, "somebody") for _ in range(FAILURES - 1)]
            await lockouts.succeed(await lockouts.begin("somebody", HERE, is_known=False))
        return found

    assert run(stack, end, absent) == [0] * 2 * (FAILURES - 1)


def test_answers_that_come_late_are_no_more_guesses_than_one_process_lets_through(
    stack: Stack, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.lockouts, "TIMEOUT_SECONDS", 0.25)
    monkeypatch.setattr(api.breaker, "PAUSE_SECONDS", 0.0)
    email = an_email()

    async def guess(lockouts: Lockouts) -> list[int]:
        found = []
        for number in range(6 * FAILURES):
            if number % 2:
                client.client_pause(10_000, all=False)  # Milliseconds, of what may write: the script waits.
            found.append(await waits(lockouts, email))
            client.client_unpause()
        return found

    with structlog.testing.capture_logs() as said:
        found = run(stack, guess)
    assert len(said) >= 3 * FAILURES, "answers were in time"
    assert found.count(0) <= 2 * FAILURES
