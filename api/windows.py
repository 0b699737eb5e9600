"""What this process counts alone, in its memory, while Redis is away: rates, and failed logins."""

import math
import time
from collections import deque
from collections.abc import Sequence

from cachetools import LRUCache

KEYS_MAX = 10_000  # Some megabytes.


class Windows:
    """Moving windows, of as many keys as were asked for latest."""

    def __init__(self, seconds: float) -> None:
        self._window = seconds * 1000
        self._times: LRUCache[str, deque[float]] = LRUCache(KEYS_MAX)

    def count(self, keys: Sequence[str], mosts: Sequence[int]) -> list[int]:
        """Count one more for all of the keys, or none; the answer is that of the script in `api.limits`."""
        now = time.monotonic() * 1000
        held = [self._held(key, now - self._window) for key in keys]
        is_within = all(len(times) < most for times, most in zip(held, mosts, strict=True))
        answer = [int(is_within)]
        for times in held:
            oldest = times[0] if times else now
            if is_within:
                times.append(now)
            answer += [len(times), math.ceil(oldest + self._window - now)]
        return answer

    def take_back(self, keys: Sequence[str]) -> None:
        """Let the latest one of each key not count."""
        for key in keys:
            if times := self._times.get(key):
                times.pop()

    def forget(self, key: str) -> None:
        self._times.pop(key, None)

    def _held(self, key: str, since: float) -> deque[float]:
        times: deque[float] = self._times.setdefault(key, deque())
        while times and times[0] <= since:
            times.popleft()
        return times
