"""What is known in this process, found by one look: cachetools' own `get` asks first and then looks."""

from typing import TypeVar

from cachetools import Cache

K = TypeVar("K")
V = TypeVar("V")


def find(cache: Cache[K, V], key: K) -> V | None:
    try:
        return cache[key]
    except KeyError:
        return None
