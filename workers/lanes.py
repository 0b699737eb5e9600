"""Lanes: how much may be under way to one receiver, so that none waits for another one."""

from uuid import UUID

from db.deliveries import ClaimedDelivery, Limits, Load

SLOTS = 500  # Under way in all, beside 200 idle connections: within the 1,024 files of a common shell.
LANE_SLOTS = 32  # Deliveries under way to one endpoint: with answers after 50 ms that is 640 a second.
LANE_SLOTS_FAILING = 1  # Enough to notice that it is back; what it holds up is one slot.
KEY_SLOTS = 160  # Of one API key, whose twenty endpoints could otherwise fill all slots: a third of them.
REFILL_BELOW = LANE_SLOTS // 2  # A claim costs a query: it is worth half a lane.


class Lane:
    """What goes to one endpoint, or to some of the hosts that an API key's callbacks go to."""

    def __init__(self, one: ClaimedDelivery) -> None:
        self.under_way = 0
        self.is_failing = one.is_failing
        self._key_id = one.key_id
        self._is_endpoint = one.endpoint_id is not None

    def load(self, lane_id: UUID) -> Load:
        return Load(lane_id=lane_id, key_id=self._key_id, under_way=self.under_way, is_failing=self.is_failing)

    @property
    def is_remarkable(self) -> bool:
        """Whether somebody must remember it: that an endpoint fails stands in its row."""
        return self.under_way > 0 or (self.is_failing and not self._is_endpoint)


class Lanes:
    """The lanes in which something is under way, and those of callbacks whose latest one failed."""

    def __init__(self) -> None:
        self._lanes: dict[UUID, Lane] = {}

    def enter(self, one: ClaimedDelivery) -> Lane:
        lane = self._lanes.setdefault(one.lane_id, Lane(one))
        lane.under_way += 1
        return lane

    def leave(self, one: ClaimedDelivery) -> bool:
        """Return whether the lane has so much room again that it is worth a claim."""
        lane = self._lanes[one.lane_id]
        lane.under_way -= 1
        if not lane.is_remarkable:
            del self._lanes[one.lane_id]
        return lane.under_way < REFILL_BELOW

    def loads(self) -> list[Load]:
        return [lane.load(lane_id) for lane_id, lane in self._lanes.items()]


def limits(under_way: int) -> Limits:
    """Return what may be claimed while so much is under way."""
    return Limits(lane=LANE_SLOTS, failing_lane=LANE_SLOTS_FAILING, key=KEY_SLOTS, total=SLOTS - under_way)
