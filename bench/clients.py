"""Throughput and latency against the number of connections, from one to more than anybody needs."""

import msgspec

from bench import load
from bench.scene import Scene

CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SHARE = 3  # Of a round's seconds, each count has a third: the plot has nine of them.


class Point(msgspec.Struct, frozen=True, kw_only=True):
    connections: int
    settled_per_second: float
    accept_p50_ms: float
    accept_p99_ms: float


class Clients(msgspec.Struct, frozen=True, kw_only=True):
    points: list[Point]


def measure(scene: Scene) -> Clients:
    return Clients(points=[_point(scene, count) for count in CONNECTIONS])


def _point(scene: Scene, connections: int) -> Point:
    seconds = max(scene.options.seconds // SHARE, 1)
    found = load.run(scene, scene.bank.targets, clients=connections, seconds=seconds)
    scene.say(f"  {connections} connections: {found.settled_per_second:,.0f} /s")
    return Point(
        connections=connections,
        settled_per_second=found.settled_per_second,
        accept_p50_ms=found.accepted.p50_ms,
        accept_p99_ms=found.accepted.p99_ms,
    )
