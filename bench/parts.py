"""The parts of the benchmark, in the order in which they run: a module each, whose `measure` makes one run.

A part is given the scene that it shares with others, `measure(scene)`; or, where it fills servers or brings its own,
only how much is to be measured, `measure(options, say)`.
"""

import importlib
from collections.abc import Callable, Sequence

import msgspec


class Part(msgspec.Struct, frozen=True, kw_only=True):
    module: str
    rounds: int | None = None  # None: as many as are asked for.
    is_long: bool = False  # Takes tens of minutes: `make bench-full`, not `make bench`.
    is_alone: bool = False  # On servers of its own, which it audits itself.


PARTS = {
    "headline": Part(module="bench.headline"),
    "clients": Part(module="bench.clients"),
    "half": Part(module="bench.half"),
    "idle": Part(module="bench.idle"),
    "hot": Part(module="bench.hot"),
    "bulk": Part(module="bench.bulk"),
    "settle": Part(module="bench.settle"),
    "workers": Part(module="bench.workers", rounds=1),
    "webhooks": Part(module="bench.webhooks", rounds=1),  # It takes turns within.
    "chain": Part(module="bench.chain", is_long=True, is_alone=True),
    "growth": Part(module="bench.growth", rounds=1, is_long=True, is_alone=True),
    "import": Part(module="bench.imported", rounds=1, is_long=True, is_alone=True),
    "soak": Part(module="bench.soak", rounds=1, is_long=True),
    "overload": Part(module="bench.overload", rounds=1, is_long=True, is_alone=True),
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


def measure(name: str) -> Callable[..., msgspec.Struct]:
    found: Callable[..., msgspec.Struct] = importlib.import_module(PARTS[name].module).measure
    return found


def rounds(name: str, asked: int) -> int:
    return PARTS[name].rounds or asked


def shared(names: Sequence[str]) -> list[str]:
    return [name for name in names if not PARTS[name].is_alone]


def alone(names: Sequence[str]) -> list[str]:
    return [name for name in names if PARTS[name].is_alone]
