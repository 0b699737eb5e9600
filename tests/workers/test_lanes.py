from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

import api.story
from db.deliveries import ClaimedDelivery
from domain.events import EventType
from workers.lanes import LANE_SLOTS, LIMITS, REFILL_BELOW, Lanes

LANE, KEY = uuid7(), uuid7()
ONE = ClaimedDelivery(
    id=uuid7(),
    fence=1,
    attempts=0,
    lane_id=LANE,
    key_id=KEY,
    endpoint_id=LANE,
    url="https://shop.example.rw/",
    event=api.story.event(EventType.WALLET_OPENED),
    sealed_secrets=[],
    is_allowed=True,
    is_failing=False,
    trace_context=None,
)


def of(lane_id: UUID, key_id: UUID = KEY) -> ClaimedDelivery:
    return msgspec.structs.replace(ONE, lane_id=lane_id, key_id=key_id)


def test_what_is_under_way_loads_its_lane() -> None:
    lanes, other = Lanes(), of(uuid7())
    for one in (ONE, ONE, other):
        lanes.enter(one)
    lanes.leave(ONE)
    loads = {load.lane_id: (load.key_id, load.under_way, load.is_failing) for load in lanes.loads()}
    assert loads == {LANE: (KEY, 1, False), other.lane_id: (KEY, 1, False)}


@pytest.mark.parametrize("is_under_way", [True, False])
def test_that_a_lane_fails_is_remembered_until_it_does_not(is_under_way: object) -> None:
    lanes = Lanes()
    if is_under_way:
        lanes.enter(ONE)
    lanes.note(ONE, is_failing=True)
    assert [(load.under_way, load.is_failing) for load in lanes.loads()] == [(int(bool(is_under_way)), True)]
    lanes.note(ONE, is_failing=False)
    assert not any(load.is_failing for load in lanes.loads())


@pytest.mark.parametrize(("in_its_row", "noted", "fails"), [(0, 0, False), (1, 0, True), (0, 1, True)])
def test_a_lane_fails_if_its_row_says_so_or_this_worker(in_its_row: int, noted: int, *, fails: bool) -> None:
    lanes, one = Lanes(), msgspec.structs.replace(ONE, is_failing=bool(in_its_row))
    lanes.note(one, is_failing=bool(noted))
    assert lanes.fails(one) is fails


def test_nothing_is_left_of_a_lane_in_which_nothing_is_under_way() -> None:
    lanes = Lanes()
    lanes.enter(ONE)
    lanes.leave(ONE)
    assert lanes.loads() == []


@pytest.mark.parametrize(
    ("lanes_of_key", "in_each", "is_worth_a_claim"),
    [
        (1, REFILL_BELOW, True),
        (1, REFILL_BELOW + 1, False),
        (LIMITS.key // LANE_SLOTS, LANE_SLOTS, True),  # The key has no room left: each end makes some.
    ],
)
def test_an_end_is_worth_a_claim_when_it_makes_room_that_was_missing(
    lanes_of_key: int, in_each: int, *, is_worth_a_claim: bool
) -> None:
    lanes, lane_ids = Lanes(), [uuid7() for _ in range(lanes_of_key)]
    for lane_id in lane_ids:
        for _ in range(in_each):
            lanes.enter(of(lane_id))
    assert lanes.leave(of(lane_ids[0])) is is_worth_a_claim


def test_each_end_is_worth_a_claim_when_there_was_no_room_at_all() -> None:
    lanes, lane_ids = Lanes(), [uuid7() for _ in range(LIMITS.total // LANE_SLOTS + 1)]
    for lane_id in lane_ids:
        for _ in range(LANE_SLOTS):
            lanes.enter(of(lane_id, key_id=lane_id))
    assert lanes.leave(of(lane_ids[0], key_id=lane_ids[0]))
