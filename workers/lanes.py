"""What this worker has under way in each lane, and how much that may be."""

from collections import Counter
from uuid import UUID

from cachetools import LRUCache

import db.deliveries
import domain.lanes
from db.deliveries import ClaimedDelivery
from db.engine import Connection
from domain.lanes import Limits, Load

SLOTS = 500  # Under way in all, beside 200 idle connections: within the 1,024 files of a common shell.
LANE_SLOTS = 32  # Deliveries under way to one endpoint: with answers after 50 ms that is 640 a second.
LIMITS = Limits(
    lane=LANE_SLOTS,
    failing_lane=1,  # Enough to notice that it is back; what it holds up is one slot.
    failing=SLOTS // 4,  # However many receivers are dead: most slots are for those that answer.
    key=160,  # Of one API key, whose twenty endpoints could otherwise fill all slots: a third of them.
    total=SLOTS,
)
REFILL_BELOW = LANE_SLOTS // 2  # A claim costs a query: it is worth half a lane.
LANES_MAX = 2_000  # Looked at for a claim, which then takes 20 ms; the next claim looks at the next ones.
FAILING_MAX = 10_000  # Lanes that are remembered to fail, which their rows say a little later: 2 MB.


def claim(
    connection: Connection, after: UUID, loads: list[Load], lease_seconds: float
) -> tuple[list[ClaimedDelivery], UUID | None]:
    """Look at the next lanes, share what room there is among them, and claim."""
    walk = db.deliveries.waiting(connection, after, LANES_MAX, LANE_SLOTS)
    shares = domain.lanes.share(walk.lanes, loads, LIMITS)
    return (db.deliveries.claim(connection, shares, lease_seconds) if shares else []), walk.resume


class Lanes:
    def __init__(self) -> None:
        self._lanes: Counter[tuple[UUID, UUID]] = Counter()  # By lane and API key.
        self._keys: Counter[UUID] = Counter()
        self._failing: LRUCache[UUID, UUID] = LRUCache(FAILING_MAX)  # With its API key.

    def enter(self, one: ClaimedDelivery) -> None:
        self._lanes[one.lane_id, one.key_id] += 1
        self._keys[one.key_id] += 1

    def leave(self, one: ClaimedDelivery) -> bool:
        """Return whether there is so much room again that it is worth a claim."""
        was_full = self._keys.total() >= LIMITS.total or self._keys[one.key_id] >= LIMITS.key
        self._lanes[one.lane_id, one.key_id] -= 1
        self._keys[one.key_id] -= 1
        self._lanes, self._keys = +self._lanes, +self._keys  # What is empty is forgotten.
        return was_full or self._lanes[one.lane_id, one.key_id] < REFILL_BELOW

    def note(self, one: ClaimedDelivery, *, is_failing: bool) -> None:
        if is_failing:
            self._failing[one.lane_id] = one.key_id
        else:
            self._failing.pop(one.lane_id, None)

    def fails(self, one: ClaimedDelivery) -> bool:
        return one.is_failing or one.lane_id in self._failing

    def loads(self) -> list[Load]:
        """Return what is under way, and where nothing is but something failed."""
        quiet = dict.fromkeys(self._failing.items(), 0)
        return [
            Load(lane_id=lane_id, key_id=key_id, under_way=count, is_failing=lane_id in self._failing)
            for (lane_id, key_id), count in (quiet | self._lanes).items()
        ]
