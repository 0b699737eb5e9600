"""Token buckets in the memory of this process: for what is counted too often to ask Redis each time."""

import time

KEYS_MAX = 50_000  # 10 MB at most. Then all begin anew: whoever has so many addresses is not held up by counting them.
ROUNDING = 1e-6  # Of a token: sums of parts that have no end in binary are a little too small or too large.


class Buckets:
    """A bucket for each key, of `most` tokens, that fills up in so many seconds."""

    def __init__(self, most: int, seconds: float) -> None:
        self._seconds = seconds
        self._each = seconds / most
        self._full_at: dict[str, float] = {}

    def take(self, key: str) -> tuple[bool, int, float]:
        """Take a token; return whether there was one, how many are left, and in how many seconds there is one more."""
        now = time.monotonic()
        full_at = max(now, self._full_at.get(key, now))
        tokens = (self._seconds - (full_at - now)) / self._each
        whole = int(tokens + ROUNDING)
        if whole:
            if len(self._full_at) >= KEYS_MAX:
                self._full_at.clear()
            self._full_at[key] = full_at + self._each
        return whole > 0, max(0, whole - 1), (whole + 1 - tokens) * self._each
