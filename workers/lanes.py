"""Lanes: how much may be under way to one receiver, so that none waits for another one."""

LANE_SLOTS = 32  # Deliveries under way to one endpoint: with answers after 50 ms that is 640 a second.
LANE_SLOTS_FAILING = 1  # Enough to notice that it is back; what it holds up is one slot.


class Lane:
    """What goes to one endpoint, or from one API key's callbacks to one host."""

    def __init__(self, *, is_failing: bool) -> None:
        self.under_way = 0
        self.is_failing = is_failing

    def room(self) -> int:
        slots = LANE_SLOTS_FAILING if self.is_failing else LANE_SLOTS
        return max(slots - self.under_way, 0)

    @property
    def is_remarkable(self) -> bool:
        return self.under_way > 0 or self.is_failing
