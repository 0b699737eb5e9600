import asyncio

import msgspec
import pytest
import redis
import uvloop

import api.breaker
from api.breaker import AT_ONCE, Breaker
from redis_clients import connect_async
from tests.absent import OF_ANOTHER_SHAPE, RESET_SECONDS, answering

SECONDS = 5.0  # A busy machine takes longer than a request may wait for Redis.


YES = b"$3\r\nyes\r\n"


async def answers(url: str, count: int, pause_seconds: float = 0.0) -> list[bytes | None]:
    """Ask so many times, one after the other, for what may only be some bytes."""
    async with connect_async(url, timeout_seconds=SECONDS, connect_seconds=SECONDS) as client:
        breaker = Breaker("cache", client)

        async def get() -> bytes | None:
            await asyncio.sleep(pause_seconds)
            return msgspec.convert(await client.get("what"), bytes | None)

        return [await breaker.ask(get) for _ in range(count)]


def breaker_of(what: str = "cache") -> Breaker:
    nobody = "redis://127.0.0.1:1/0"
    return Breaker(what, connect_async(nobody, timeout_seconds=SECONDS, connect_seconds=SECONDS))


def test_a_breaker_is_closed_until_something_fails() -> None:
    assert breaker_of().is_closed


def test_after_a_failure_nobody_asks() -> None:
    breaker = breaker_of()

    breaker.trip(OSError("gone"))

    assert not breaker.is_closed


def test_after_a_pause_somebody_may_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.breaker, "PAUSE_SECONDS", 0)
    breaker = breaker_of()

    breaker.trip(OSError("gone"))

    assert breaker.is_closed


def test_one_breaker_does_not_open_another() -> None:
    one, other = breaker_of("cache"), breaker_of("rate limits")

    one.trip(OSError("gone"))

    assert other.is_closed


def test_after_the_pause_one_asks_and_the_others_wait_until_it_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = breaker_of()
    monkeypatch.setattr(api.breaker, "PAUSE_SECONDS", 0)
    breaker.trip(OSError("frozen"))
    monkeypatch.setattr(api.breaker, "PAUSE_SECONDS", 60)

    assert [breaker.is_closed for _ in range(3)] == [True, False, False]
    breaker.mend()
    assert [breaker.is_closed for _ in range(3)] == [True, True, True]


@pytest.mark.parametrize("error", [redis.TimeoutError("late"), OSError("gone"), ValueError("what?")])
def test_an_answer_that_does_not_come_is_none_and_nobody_asks_again(error: Exception) -> None:
    breaker, asked = breaker_of(), []

    async def fail() -> str:
        asked.append("once")
        raise error

    async def answer() -> str:
        asked.append("again")
        return "yes"

    async def ask() -> list[str | None]:
        return [await breaker.ask(answer), await breaker.ask(fail), await breaker.ask(answer)]

    assert asyncio.run(ask()) == ["yes", None, None]
    assert asked == ["again", "once"]


def test_of_a_burst_few_ask_at_once_and_those_behind_a_failure_do_not_ask() -> None:
    breaker, asking, asked = breaker_of(), [0], [0, 0]

    async def answer(error: Exception | None) -> str:
        asked[error is not None] += 1
        asking.append(asking[-1] + 1)
        await asyncio.sleep(0)
        asking.append(asking[-1] - 1)
        if error:
            raise error
        return "yes"

    async def burst(error: Exception | None) -> set[str | None]:
        return set(await asyncio.gather(*(breaker.ask(lambda: answer(error)) for _ in range(300))))

    async def bursts() -> list[set[str | None]]:
        return [await burst(error) for error in (None, OSError("frozen"))]

    assert asyncio.run(bursts()) == [{"yes"}, {None}]
    assert (max(asking), asked) == (AT_ONCE, [300, AT_ONCE])


def test_a_connection_on_which_somebody_else_answers_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.breaker, "PAUSE_SECONDS", 0)

    with answering(OF_ANOTHER_SHAPE, YES) as url:
        assert asyncio.run(answers(url, 3)) == [None, b"yes", b"yes"]


def test_a_connection_that_was_reset_fails_nobody_on_the_loop_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.breaker, "PAUSE_SECONDS", 0)

    with answering(YES, resets=True) as url:
        found = uvloop.run(answers(url, 4, pause_seconds=4 * RESET_SECONDS))
    assert b"yes" in found  # All of them, when the loop heard of a reset too late to be surprised by it.
