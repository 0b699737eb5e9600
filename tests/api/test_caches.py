"""What is known in this process: it is found, or it is not; what has expired is not."""

import pytest
from cachetools import Cache, LRUCache, TLRUCache

import api.caches

KNOWN = {"a": 1}


def lasting(seconds: float) -> Cache[str, int]:
    """Return a cache whose clock stands still: what lasts for no time has expired."""
    return TLRUCache(10, lambda _key, _value, now: now + seconds, lambda: 0.0)


@pytest.mark.parametrize(
    ("cache", "key", "found"),
    [
        (LRUCache(10), "a", 1),
        (LRUCache(10), "b", None),
        (lasting(1), "a", 1),
        (lasting(1), "b", None),
        (lasting(0), "a", None),
    ],
)
def test_what_is_known_is_found(cache: Cache[str, int], key: str, found: int | None) -> None:
    cache.update(KNOWN)
    assert api.caches.find(cache, key) == found
