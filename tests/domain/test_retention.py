"""There is room for the months to come, across the end of a year too."""

from datetime import UTC, datetime

import pytest

from domain.retention import months_ahead


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ((2026, 11, 25), ["2026-11", "2026-12", "2027-01"]),
        ((2026, 12, 31), ["2026-12", "2027-01", "2027-02"]),
        ((2027, 1, 31), ["2027-01", "2027-02", "2027-03"]),
    ],
)
def test_room_is_made_for_this_month_and_the_next_ones(now: tuple[int, int, int], expected: list[str]) -> None:
    assert [f"{month:%Y-%m}" for month in months_ahead(datetime(*now, tzinfo=UTC))] == expected
