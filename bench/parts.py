"""The parts of the benchmark, in the order in which they run: a module each, whose `measure` makes one run."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bench.scene import Scene


class Part(msgspec.Struct, frozen=True, kw_only=True):
    module: str
    rounds: int | None = None  # None: as many as are asked for.
    is_long: bool = False  # Takes tens of minutes: `make bench-full`, not `make bench`.
    is_alone: bool = False  # On servers of its own, because it fills them.


PARTS = {
    "headline": Part(module="bench.headline"),
    "clients": Part(module="bench.clients"),
    "half": Part(module="bench.half"),
    "idle": Part(module="bench.idle"),
    "hot": Part(module="bench.hot"),
    "bulk": Part(module="bench.bulk"),
    "settle": Part(module="bench.settle"),
    "webhooks": Part(module="bench.webhooks", rounds=1),  # It takes turns within.
    "soak": Part(module="bench.soak", rounds=1, is_long=True),
}


GROUPS = {
    "short": [name for name, part in PARTS.items() if not part.is_long],
    "long": [name for name, part in PARTS.items() if part.is_long],
    "quick": ["headline", "half", "idle", "hot"],
}


def chosen(only: str) -> list[str]:
    """Return the parts and groups named in a list with commas, in the order of `PARTS`.

    Raises:
        ValueError: there is no such part.

    """
    named = [name.strip() for name in only.split(",")]
    wanted = {part for name in named for part in GROUPS.get(name, [name])}
    if unknown := sorted(wanted - PARTS.keys()):
        raise ValueError(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return [name for name in PARTS if name in wanted]


def measure(name: str) -> Callable[[Scene], msgspec.Struct]:
    found: Callable[[Scene], msgspec.Struct] = importlib.import_module(PARTS[name].module).measure
    return found


def rounds(name: str, asked: int) -> int:
    return PARTS[name].rounds or asked


def groups(names: Sequence[str]) -> list[list[str]]:
    """Return which parts share servers: first all that may, then each of the others."""
    shared = [name for name in names if not PARTS[name].is_alone]
    return [group for group in [shared, *([name] for name in names if PARTS[name].is_alone)] if group]


def plain(found: msgspec.Struct) -> Any:
    """Return what was found as JSON has it."""
    return msgspec.to_builtins(found)
