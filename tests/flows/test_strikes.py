"""What clients were promised in a row is what is looked for: refusals and waits that nobody was to notice."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.flows.books import Strike
from tests.flows.load import Receipt
from tests.flows.strikes import noticed
from tests.flows.trials import ROWS, Row

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
FAST, SLOW = 0.02, 0.6
PLAIN, UNNOTICED = Row("", 1), Row("", 1, is_unnoticed=True)


def strike(seconds: float = 3.0) -> Strike:
    return Strike(at=AT, back_at=AT + timedelta(seconds=seconds))


def receipts(before: Sequence[float], since: Sequence[float]) -> list[Receipt]:
    """Return those of transfers that were answered within so many seconds, ten a second before and after the strike."""
    seconds = [*before, *since]
    moments = [AT + timedelta(seconds=0.1 * (place - len(before))) for place in range(len(seconds))]
    return [
        Receipt(key="", job_id="", source="", destination="", amount=1, answered_at=at, seconds=one, tries=1)
        for at, one in zip(moments, seconds, strict=True)
    ]


@pytest.mark.parametrize(
    ("row", "since", "failures", "broken"),
    [
        (UNNOTICED, [FAST] * 99, 0, []),
        (PLAIN, [SLOW] * 99, 9, []),
        (UNNOTICED, [FAST] * 99, 2, ["2 tries were refused or not answered"]),
        (UNNOTICED, [*[FAST] * 197, *[SLOW] * 2], 0, ["the 99th percentile of accept rose from 0.020 s to 0.600 s"]),
        (UNNOTICED, [*[FAST] * 198, SLOW], 0, []),
        (PLAIN, [FAST] * 10, 0, ["nothing was accepted for inf s"]),
    ],
)
def test_a_broken_promise_to_clients_is_named(row: Row, since: list[float], failures: int, broken: list[str]) -> None:
    assert noticed(row, strike(), receipts([FAST] * 60, since), failures) == broken


def test_a_machine_that_was_slow_before_may_be_so_afterwards() -> None:
    assert noticed(UNNOTICED, strike(), receipts([SLOW] * 60, [1.9 * SLOW] * 99), 0) == []


@pytest.mark.parametrize(("seconds", "broken"), [(29.9, []), (30.1, ["it was not ready for 30.1 s"])])
def test_everything_is_ready_within_half_a_minute(seconds: float, broken: list[str]) -> None:
    since = [FAST] * 400  # Transfers go on for ten seconds after the return.
    assert noticed(ROWS["everything is killed"], strike(seconds), receipts([FAST] * 60, since), 9) == broken


def test_nobody_notices_that_redis_is_away() -> None:
    assert [name for name, row in ROWS.items() if row.is_unnoticed] == [
        "Redis is killed",
        "Redis is killed and wiped",
        "Redis is flushed",
        "Redis is frozen",
        "Redis's connections are killed",
        "everybody is cut off from Redis",
        "no packet gets to Redis",
    ]
