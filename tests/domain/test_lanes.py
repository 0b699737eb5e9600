"""How the room is shared: nobody waits for another one's receiver."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from domain.lanes import Lane, Limits, Load, share

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY, OTHER_KEY = UUID(int=1), UUID(int=2)
WIDE = Limits(lane=100, failing_lane=1, failing=100, key=1_000, total=100)


def lane(number: int, due: int = 4, *, key: UUID = KEY, is_failing: bool = False) -> Lane:
    """Make a lane; those with lower numbers have waited for longer."""
    since = NOON + timedelta(seconds=number)
    return Lane(lane_id=UUID(int=number), key_id=key, due=due, since=since, is_failing=is_failing)


def load(number: int, under_way: int, *, key: UUID = KEY, is_failing: bool = False) -> Load:
    return Load(lane_id=UUID(int=number), key_id=key, under_way=under_way, is_failing=is_failing)


def shared(lanes: Sequence[Lane], loads: Sequence[Load] = (), **limits: int) -> list[int]:
    """Return what each lane gets, in their order."""
    found = share(lanes, loads, msgspec.structs.replace(WIDE, **limits))
    return [found.get(one.lane_id, 0) for one in lanes]


@pytest.mark.parametrize(
    ("under_way", "lane_slots", "total", "expected"),
    [
        ({}, 10, 100, [4, 4, 4]),
        ({}, 1, 100, [1, 1, 1]),
        ({}, 0, 100, [0, 0, 0]),
        ({0: 1}, 3, 100, [2, 3, 3]),
        ({0: 3, 1: 1}, 3, 100, [0, 2, 3]),
        ({0: 9, 1: 9, 2: 9}, 3, 100, [0, 0, 0]),
        ({}, 10, 5, [2, 2, 1]),  # In turns, those first that have waited for longest.
        ({}, 10, 2, [1, 1, 0]),
        ({0: 1}, 10, 6, [1, 2, 2]),  # The least busy come first.
        ({0: 5, 1: 5}, 10, 13, [0, 0, 3]),
        ({7: 2}, 10, 4, [1, 1, 0]),  # What is under way in other lanes takes room, too.
        ({}, 10, 0, [0, 0, 0]),
        ({0: 7}, 10, 3, [0, 0, 0]),  # More under way than there may be.
    ],
)
def test_each_lane_gets_what_there_is_room_for(
    under_way: dict[int, int], lane_slots: int, total: int, expected: list[int]
) -> None:
    loads = [load(number, count) for number, count in under_way.items()]
    assert shared([lane(number) for number in range(3)], loads, lane=lane_slots, total=total) == expected


def test_a_lane_gets_no_more_than_is_due_and_the_others_what_it_leaves() -> None:
    assert shared([lane(0, due=1), lane(1, due=50)], total=10) == [1, 9]


@pytest.mark.parametrize(
    ("key_slots", "under_way", "expected"),
    [
        (100, 0, [4, 4, 4]),
        (5, 0, [3, 2, 4]),
        (5, 2, [2, 1, 4]),
        (5, 9, [0, 0, 4]),
        (3, 0, [2, 1, 3]),
    ],
)
def test_no_key_takes_more_than_its_share_with_however_many_endpoints(
    key_slots: int, under_way: int, expected: list[int]
) -> None:
    lanes = [lane(0), lane(1), lane(2, key=OTHER_KEY)]
    assert shared(lanes, [load(9, under_way)], key=key_slots) == expected


@pytest.mark.parametrize(
    ("in_its_row", "seen_by_the_worker", "under_way", "expected"),
    [(False, False, 0, 4), (True, False, 0, 1), (False, True, 0, 1), (True, False, 1, 0), (True, True, 1, 0)],
)
def test_of_a_lane_that_fails_only_a_trial_is_sent(
    *, in_its_row: bool, seen_by_the_worker: bool, under_way: int, expected: int
) -> None:
    loads = [load(0, under_way, is_failing=seen_by_the_worker)]
    assert shared([lane(0, is_failing=in_its_row)], loads) == [expected]


@pytest.mark.parametrize(
    ("dead_under_way", "dead_gets", "healthy_gets"),
    [(0, 25, 32), (20, 5, 32), (25, 0, 32), (90, 0, 10)],
)
def test_however_many_receivers_are_dead_most_room_is_for_those_that_answer(
    dead_under_way: int, dead_gets: int, healthy_gets: int
) -> None:
    dead = [lane(number, is_failing=True) for number in range(200)]
    healthy = lane(1_000, due=2_000, key=OTHER_KEY)
    loads = [load(2_000 + number, 1, is_failing=True) for number in range(dead_under_way)]
    *those, last = shared([*dead, healthy], loads, lane=32, failing=25)
    assert (sum(those), last) == (dead_gets, healthy_gets)


def test_a_lane_without_room_takes_nothing_from_the_share_of_others() -> None:
    full = [lane(number, is_failing=True) for number in range(60)]
    loads = [load(number, 1, is_failing=True) for number in range(60)]
    assert shared([*full, lane(99, due=2_000)], loads, lane=32)[-1] == 32
