import pytest

from workers.lanes import LANE_SLOTS, LANE_SLOTS_FAILING, Lane


@pytest.mark.parametrize(
    ("lane", "room"),
    [
        ({}, LANE_SLOTS),
        ({"under_way": 5}, LANE_SLOTS - 5),
        ({"under_way": LANE_SLOTS}, 0),
        ({"is_failing": True}, LANE_SLOTS_FAILING),
        ({"is_failing": True, "under_way": 1}, 0),
        ({"is_failing": True, "under_way": 9}, 0),
    ],
)
def test_a_lane_has_room(lane: dict[str, float], room: int) -> None:
    made = Lane(is_failing=False)
    for name, value in lane.items():
        setattr(made, name, value)
    assert made.room() == room
