"""Failed logins in a row: who has to wait, how long, and who has not."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import redis

import api.lockouts
from api.errors import LoginLocked
from api.lockouts import EVERYWHERE, Lockouts
from local import ports
from local.stack import Stack
from settings import Settings
from tests.api.clients import PASSWORD, Api, Customer, problem
from tests.api.processes import serving

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
    with serving(stack.env, log, **limits) as one, serving(stack.env, log, **limits) as other:
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
    assert 50 <= int(answer.headers["retry-after"]) <= 60


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


def run(stack: Stack, steps: Callable[[Lockouts], Coroutine[Any, Any, Any]], url: str = "") -> Any:
    async def scenario() -> Any:
        lockouts = Lockouts(Settings(redis_url=url or stack.redis_url, login_failures_max=FAILURES))
        try:
            return await steps(lockouts)
        finally:
            await lockouts.close()

    return asyncio.run(scenario())


async def waits(lockouts: Lockouts, email: str, address: str = HERE) -> int:
    """Begin an attempt; return for how many seconds it is refused."""
    try:
        await lockouts.begin(email, address)
    except LoginLocked as locked:
        return int(locked.headers["Retry-After"])
    return 0


def serve_time(stack: Stack, email: str) -> None:
    """Let what has to be waited for be over."""
    client = redis.Redis.from_url(stack.redis_url)
    for key in client.scan_iter(f"lockout:{email}*"):
        client.hdel(key, "until")
    client.close()


def test_each_failure_has_to_wait_twice_as_long_up_to_a_quarter_of_an_hour(stack: Stack) -> None:
    email = str(uuid4())

    async def grow(lockouts: Lockouts) -> list[int]:
        found = [await waits(lockouts, email) for _ in range(FAILURES)]
        for _ in range(6):
            found.append(await waits(lockouts, email))
            serve_time(stack, email)
            await waits(lockouts, email)
        return found

    assert run(stack, grow) == [0] * FAILURES + [60, 120, 240, 480, 900, 900]


def test_who_asks_again_while_it_is_locked_prolongs_nothing(stack: Stack) -> None:
    email = str(uuid4())

    async def insist(lockouts: Lockouts) -> set[int]:
        for _ in range(FAILURES):
            await lockouts.begin(email, HERE)
        return {await waits(lockouts, email) for _ in range(20)}

    assert run(stack, insist) <= {59, 60}


def test_attempts_at_the_same_moment_are_no_more_guesses(stack: Stack) -> None:
    email = str(uuid4())

    async def rush(lockouts: Lockouts) -> list[int]:
        return await asyncio.gather(*(waits(lockouts, email) for _ in range(50)))

    assert run(stack, rush).count(0) == FAILURES


def test_a_guesser_locks_out_the_owner_only_from_many_addresses(stack: Stack) -> None:
    email = str(uuid4())

    async def guess(lockouts: Lockouts, addresses: int) -> list[int]:
        guessed = [await waits(lockouts, email, f"198.51.100.{one}") for one in range(addresses) for _ in range(20)]
        return [guessed.count(0), await waits(lockouts, email, THERE)]

    assert run(stack, lambda lockouts: guess(lockouts, EVERYWHERE - 1)) == [FAILURES * (EVERYWHERE - 1), 0]
    assert run(stack, lambda lockouts: guess(lockouts, EVERYWHERE)) == [FAILURES - 1, 60]


def test_success_forgets_what_failed_elsewhere(stack: Stack) -> None:
    email = str(uuid4())

    async def succeed(lockouts: Lockouts) -> int:
        for number in range(EVERYWHERE * FAILURES):
            await waits(lockouts, email, f"198.51.100.{number}")
        serve_time(stack, email)
        await lockouts.begin(email, THERE)
        await lockouts.succeed(email, THERE)
        return await waits(lockouts, email, THERE)

    assert run(stack, succeed) == 0


def test_without_redis_nobody_is_locked_out(stack: Stack) -> None:
    async def fail(lockouts: Lockouts) -> list[int]:
        return [await waits(lockouts, "somebody") for _ in range(2 * FAILURES)]

    assert run(stack, fail, f"redis://127.0.0.1:{ports.free()}/0") == [0] * 2 * FAILURES
