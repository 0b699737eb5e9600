"""Lanes: what is under way to one receiver, and how the room for more is shared, so that none waits for another one.

A lane is an endpoint, or the host that some of an API key's callbacks go to.
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A lane in which something is due: how much, as far as it was counted, and since when."""

    lane_id: UUID
    key_id: UUID
    due: int
    since: datetime
    is_failing: bool  # Whether what was sent last failed.


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has under way in a lane, and whether it has seen it fail."""

    lane_id: UUID
    key_id: UUID
    under_way: int
    is_failing: bool = False


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a worker may have under way: in a lane, in one that fails and in all of those, of an API key, in all."""

    lane: int
    failing_lane: int
    failing: int
    key: int
    total: int


def share(lanes: Iterable[Lane], loads: Iterable[Load], limits: Limits) -> dict[UUID, int]:
    """Return how much of each lane may be sent now.

    One by one, the lane with the least under way comes first, and among equals the one that has waited for longest.
    """
    room = _Room(loads, limits)
    queue = [(room.under_way[lane.lane_id], lane.since, lane.lane_id, lane) for lane in lanes]
    heapq.heapify(queue)
    taken: Counter[UUID] = Counter()
    while queue and room.left > 0:
        under_way, since, lane_id, lane = heapq.heappop(queue)
        if not room.has_for(lane):  # Nor will it have later: what is taken only grows.
            continue
        room.take(lane)
        taken[lane_id] += 1
        if taken[lane_id] < lane.due:
            heapq.heappush(queue, (under_way + 1, since, lane_id, lane))
    return dict(taken)


class _Room:
    """What may still be taken."""

    def __init__(self, loads: Iterable[Load], limits: Limits) -> None:
        self._limits = limits
        self.under_way: Counter[UUID] = Counter()
        self._by_key: Counter[UUID] = Counter()
        self._known_to_fail: set[UUID] = set()
        self._failing = 0
        for load in loads:
            self.under_way[load.lane_id] += load.under_way
            self._by_key[load.key_id] += load.under_way
            if load.is_failing:
                self._known_to_fail.add(load.lane_id)
                self._failing += load.under_way
        self.left = limits.total - self.under_way.total()

    def has_for(self, lane: Lane) -> bool:
        is_failing = self._fails(lane)
        slots = self._limits.failing_lane if is_failing else self._limits.lane
        return (
            self.under_way[lane.lane_id] < slots
            and self._by_key[lane.key_id] < self._limits.key
            and not (is_failing and self._failing >= self._limits.failing)
        )

    def take(self, lane: Lane) -> None:
        self.left -= 1
        self.under_way[lane.lane_id] += 1
        self._by_key[lane.key_id] += 1
        self._failing += self._fails(lane)

    def _fails(self, lane: Lane) -> bool:
        return lane.is_failing or lane.lane_id in self._known_to_fail
