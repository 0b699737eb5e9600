"""Pressure: whose job is still accepted when a queue has more than it can settle in time.

Beyond a mark a queue takes jobs of those who have less than their share of it, or nothing there; beyond twice as many
jobs as its mark, of nobody. So whoever fills it is the first to wait, and the others notice only what all of them
together are too much for. The oldest job is mostly of who fills it, and claims go from caller to caller: however old it
is, a newcomer's does not wait for it.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

HARD = 2  # Times the mark of jobs: above it the small callers have as much room as all callers have below.


class Refusal(StrEnum):
    CALLER_SHARE = "caller_share"  # Beyond the mark, and the caller has its share of what waits.
    QUEUE_FULL = "queue_full"  # Beyond twice the mark of jobs, whoever asks.


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """From where on a queue is under pressure; 0 is nowhere."""

    jobs_max: int
    age_seconds_max: int
    batch_max: int  # What one batch empties is not late, however long a job of it has been put off.

    @property
    def shallow_jobs(self) -> int:
        """Return up to how many jobs a queue is under no pressure, whatever else is known of it."""
        return min(self.batch_max, self.jobs_max - 1) if self.jobs_max else self.batch_max

    @property
    def are_set(self) -> bool:
        return bool(self.jobs_max or self.age_seconds_max)


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in a queue."""

    jobs: int
    oldest_seconds: float = 0.0  # Of one that was never put off: others wait for something else.
    callers: int = 0
    queueing: Mapping[str, int] = {}  # Who queues at present, and how much of it: counted to one above the share.


def strain(load: Load, marks: Marks) -> float:
    """Return how full the queue is: 1 is its mark."""
    is_deep = load.jobs > marks.batch_max
    by_age = load.oldest_seconds / marks.age_seconds_max if marks.age_seconds_max and is_deep else 0.0
    return max(depth(load, marks), by_age)


def depth(load: Load, marks: Marks) -> float:
    """Return how full the queue is by its jobs alone."""
    return load.jobs / marks.jobs_max if marks.jobs_max else 0.0


def refusal(load: Load, marks: Marks, *, own: int, jobs: int = 1) -> Refusal | None:
    """Say why `jobs` more of a caller that has `own` queued are not accepted; None when they are."""
    if depth(load, marks) >= HARD:
        return Refusal.QUEUE_FULL
    if strain(load, marks) >= 1 and own and own + jobs > load.jobs / max(load.callers, 1):
        return Refusal.CALLER_SHARE
    return None
