"""What values of a previous platform's rows must be, whatever the row."""

from datetime import UTC, datetime

import pytest

from domain.errors import InvalidField
from domain.imported_values import legacy_id, moment

NOW = datetime(2026, 11, 25, tzinfo=UTC)
AT = datetime(2019, 3, 4, 5, 6, 7, 891_000, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", " ", "x" * 65, "a\tb", "a\x00"])
def test_a_legacy_id_is_a_short_line(text: str) -> None:
    with pytest.raises(InvalidField):
        legacy_id(text)


@pytest.mark.parametrize("text", ["2019-03-04T05:06:07.891Z", " 2019-03-04 07:06:07.891+02:00"])
def test_a_time_has_its_zone(text: str) -> None:
    assert moment(text, NOW) == AT


@pytest.mark.parametrize("text", ["2019-03-04T23:06:07.891+18:00", "2019-03-03T06:06:07.891-23:00"])
def test_a_zone_that_postgresql_does_not_know_is_no_longer_one(text: str) -> None:
    assert (moment(text, NOW), moment(text, NOW).tzinfo) == (AT, UTC)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2019-03-04", "2019-03-04T05:06:07", "1969-12-31T23:59:59Z", "2026-11-25T00:00:01Z"]
)
def test_no_other_text_is_a_time_that_can_have_been(text: str) -> None:
    with pytest.raises(InvalidField):
        moment(text, NOW)
