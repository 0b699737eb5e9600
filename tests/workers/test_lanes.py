from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

import api.story
from db.deliveries import ClaimedDelivery
from domain.events import EventType
from workers.lanes import REFILL_BELOW, SLOTS, Lanes, limits

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
)


def test_what_is_under_way_loads_its_lane() -> None:
    lanes, others = Lanes(), msgspec.structs.replace(ONE, lane_id=uuid7())
    for one in (ONE, ONE, others):
        lanes.enter(one)
    lanes.leave(ONE)
    loads = {load.lane_id: (load.key_id, load.under_way, load.is_failing) for load in lanes.loads()}
    assert loads == {LANE: (KEY, 1, False), others.lane_id: (KEY, 1, False)}


@pytest.mark.parametrize(
    ("endpoint_id", "has_failed", "is_remembered"),
    [
        (LANE, False, False),
        (LANE, True, False),  # It stands in its row.
        (None, False, False),
        (None, True, True),
    ],
)
def test_an_empty_lane_is_remembered_only_if_nobody_else_knows_that_it_fails(
    endpoint_id: UUID | None, *, has_failed: bool, is_remembered: bool
) -> None:
    lanes, one = Lanes(), msgspec.structs.replace(ONE, endpoint_id=endpoint_id)
    lanes.enter(one).is_failing = has_failed
    lanes.leave(one)
    assert [load.is_failing for load in lanes.loads()] == [True] * is_remembered


def test_a_lane_that_is_half_empty_is_worth_a_claim() -> None:
    lanes = Lanes()
    for _ in range(REFILL_BELOW + 1):
        lanes.enter(ONE)
    assert [lanes.leave(ONE) for _ in range(2)] == [False, True]


def test_what_is_under_way_is_not_claimed_in_addition() -> None:
    assert limits(SLOTS - 7).total == 7
