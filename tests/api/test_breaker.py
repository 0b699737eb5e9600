import asyncio

import pytest
import redis

import api.breaker
from api.breaker import AT_ONCE, Breaker


def test_a_breaker_is_closed_until_something_fails() -> None:
    assert Breaker("cache").is_closed


def test_after_a_failure_nobody_asks() -> None:
    breaker = Breaker("cache")

    breaker.trip(OSError("gone"))

    assert not breaker.is_closed


def test_after_a_pause_somebody_may_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.breaker, "PAUSE_SECONDS", 0)
    breaker = Breaker("cache")

    breaker.trip(OSError("gone"))

    assert breaker.is_closed


def test_one_breaker_does_not_open_another() -> None:
    one, other = Breaker("cache"), Breaker("rate limits")

    one.trip(OSError("gone"))

    assert other.is_closed


def test_after_the_pause_one_asks_and_the_others_wait_until_it_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = Breaker("cache")
    monkeypatch.setattr(api.breaker, "PAUSE_SECONDS", 0)
    breaker.trip(OSError("frozen"))
    monkeypatch.setattr(api.breaker, "PAUSE_SECONDS", 60)

    assert [breaker.is_closed for _ in range(3)] == [True, False, False]
    breaker.mend()
    assert [breaker.is_closed for _ in range(3)] == [True, True, True]


@pytest.mark.parametrize("error", [redis.TimeoutError("late"), OSError("gone")])
def test_an_answer_that_does_not_come_is_none_and_nobody_asks_again(error: Exception) -> None:
    breaker, asked = Breaker("cache"), []

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
    breaker, asking, asked = Breaker("cache"), [0], [0, 0]

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
