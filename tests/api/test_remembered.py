"""What counts for a second, and who waits: nobody for what is in use, and nobody takes what has ended for alive."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

import api.remembered
from api.remembered import Remembered
from db.async_engine import AsyncTransactions
from db.engine import DatabaseError
from settings import Settings
from tests.workers.sinks import until

ONE, TWO = (UUID(int=number) for number in (1, 2))
LONG, SHORT = 60.0, 0.3


class Register:
    """A real query for what is alive; each answer has a number of its own."""

    def __init__(self) -> None:
        self.alive = {ONE, TWO}
        self.asked: list[list[UUID]] = []
        self.statement = "SELECT 1"

    def __call__(self, connection: Connection, keys: Sequence[UUID]) -> Mapping[UUID, int]:
        self.asked.append(sorted(keys))
        number, alive = len(self.asked), set(self.alive)
        connection.execute(text(self.statement))
        return {key: number for key in keys if key in alive}


async def until_it_is_not(remembered: Remembered[UUID, int], value: int) -> None:
    while await remembered.find(ONE) == value:  # noqa: ASYNC110 - to look is what makes it new
        await asyncio.sleep(0.01)


Story = Callable[[Remembered[UUID, int], Register], Awaitable[None]]


def run(config: Settings, story: Story) -> None:
    async def use() -> None:
        database, register = AsyncTransactions(config.database_api_url, connections=2), Register()
        remembered = Remembered(database, register)
        try:
            await story(remembered, register)
        finally:
            await remembered.stop()
            await database.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(use())


@pytest.fixture
def ages(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    """Set when an answer runs out, and when it is asked for anew."""

    def set_to(remember: float, renew: float) -> None:
        monkeypatch.setattr(api.remembered, "REMEMBER_SECONDS", remember)
        monkeypatch.setattr(api.remembered, "RENEW_SECONDS", renew)

    return set_to


def test_an_answer_is_asked_for_once(configured: Settings, ages: Callable[[float, float], None]) -> None:
    ages(LONG, LONG)

    async def story(remembered: Remembered[UUID, int], register: Register) -> None:
        assert [await remembered.find(ONE) for _ in range(3)] == [1, 1, 1]
        assert register.asked == [[ONE]]

    run(configured, story)


def test_what_is_not_there_is_remembered_too(configured: Settings, ages: Callable[[float, float], None]) -> None:
    ages(LONG, LONG)

    async def story(remembered: Remembered[UUID, int], register: Register) -> None:
        register.alive.clear()
        assert [await remembered.find(ONE) for _ in range(3)] == [None] * 3
        assert register.asked == [[ONE]]

    run(configured, story)


def test_an_answer_runs_out(configured: Settings, ages: Callable[[float, float], None]) -> None:
    ages(SHORT, LONG)

    async def story(remembered: Remembered[UUID, int], register: Register) -> None:
        assert await remembered.find(ONE) == 1
        register.alive.clear()
        await asyncio.sleep(SHORT)
        assert await remembered.find(ONE) is None

    run(configured, story)


def test_an_answers_second_begins_before_its_query(configured: Settings, ages: Callable[[float, float], None]) -> None:
    ages(SHORT, LONG)

    async def story(remembered: Remembered[UUID, int], register: Register) -> None:
        register.statement = f"SELECT pg_sleep({SHORT})"
        await remembered.find(ONE)
        await remembered.find(ONE)
        assert register.asked == [[ONE], [ONE]]

    run(configured, story)


def test_what_is_in_use_is_renewed_while_nobody_waits(
    configured: Settings, ages: Callable[[float, float], None]
) -> None:
    ages(LONG, 0.0)

    async def story(remembered: Remembered[UUID, int], register: Register) -> None:
        await asyncio.gather(remembered.find(ONE), remembered.find(TWO))
        register.statement = "SELECT pg_sleep(0.1)"
        began = time.monotonic()
        while time.monotonic() < began + 0.14:  # The renewal gathers for 50 ms, and takes another 100.
            assert [await remembered.find(ONE), await remembered.find(TWO)] == [1, 1]
            await asyncio.sleep(0.01)
        await until_it_is_not(remembered, 1)
        assert [await remembered.find(ONE), await remembered.find(TWO)] == [2, 2]
        assert register.asked[:2] == [[ONE, TWO]] * 2

    run(configured, story)


def test_a_renewal_finds_out_what_has_ended(configured: Settings, ages: Callable[[float, float], None]) -> None:
    ages(LONG, 0.0)

    async def story(remembered: Remembered[UUID, int], register: Register) -> None:
        assert await remembered.find(ONE) == 1
        register.alive.clear()
        await until_it_is_not(remembered, 1)
        assert await remembered.find(ONE) is None

    run(configured, story)


def test_what_nobody_uses_is_not_asked_for(configured: Settings, ages: Callable[[float, float], None]) -> None:
    ages(LONG, 0.1)

    async def story(remembered: Remembered[UUID, int], register: Register) -> None:
        await remembered.find(ONE)
        await asyncio.sleep(0.3)
        assert register.asked == [[ONE]]

    run(configured, story)


def test_a_renewal_asks_for_a_limited_number_at_once(
    configured: Settings, ages: Callable[[float, float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ages(LONG, 0.0)
    monkeypatch.setattr(api.remembered, "KEYS_MAX", 1)

    async def story(remembered: Remembered[UUID, int], register: Register) -> None:
        await asyncio.gather(remembered.find(ONE), remembered.find(TWO))
        await asyncio.gather(remembered.find(ONE), remembered.find(TWO))
        await until(lambda: len(register.asked) == 3)
        assert sorted(register.asked[1:]) == [[ONE], [TWO]]

    run(configured, story)


def test_a_database_that_is_away_is_noticed_when_the_answer_runs_out_and_not_before(
    configured: Settings, ages: Callable[[float, float], None]
) -> None:
    ages(LONG, 0.0)

    async def story(remembered: Remembered[UUID, int], register: Register) -> None:
        found = [await remembered.find(ONE)]
        ages(SHORT, 0.0)
        await remembered.find(TWO)
        register.statement = "SELECT 1 / 0"
        found += [await remembered.find(ONE)]
        await asyncio.gather(remembered.find(TWO), return_exceptions=True)  # In use, if it has not run out already.
        await asyncio.sleep(SHORT)
        with pytest.raises(DatabaseError):
            await remembered.find(TWO)
        found += [await remembered.find(ONE)]
        register.statement = "SELECT 1"
        assert await remembered.find(TWO) is not None
        assert found == [1, 1, 1]

    run(configured, story)


@pytest.mark.parametrize("answered", ["before", "after"])
def test_what_was_asked_for_before_an_end_does_not_count_after_it(
    configured: Settings, ages: Callable[[float, float], None], answered: str
) -> None:
    ages(LONG, LONG)

    async def story(remembered: Remembered[UUID, int], register: Register) -> None:
        register.statement = "SELECT pg_sleep(0.1)"
        asking = asyncio.create_task(remembered.find(ONE))
        await until(lambda: bool(register.asked) and (answered == "after" or asking.done()))
        register.alive.remove(ONE)
        remembered.end(ONE)
        assert await asking == (None if answered == "after" else 1)
        assert await remembered.find(ONE) is None
        assert await remembered.find(TWO) is not None

    run(configured, story)


def test_a_renewal_that_was_under_way_at_an_end_does_not_count(
    configured: Settings, ages: Callable[[float, float], None]
) -> None:
    ages(LONG, 0.0)

    async def story(remembered: Remembered[UUID, int], register: Register) -> None:
        await remembered.find(ONE)
        register.statement = "SELECT pg_sleep(0.1)"
        await remembered.find(ONE)
        await until(lambda: len(register.asked) == 2)
        register.alive.clear()
        remembered.end(ONE)
        await asyncio.sleep(0.2)
        assert await remembered.find(ONE) is None

    run(configured, story)
