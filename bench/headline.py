"""The headline: transfers a second from HTTP to settled, beside pgbench on the same server in the same minute."""

import msgspec

from bench import load, memory
from bench.bare import Bare
from bench.load import Round
from bench.scene import Scene


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    bare: Bare
    round: Round
    pgbench_tps: float
    transfers_per_second: float
    ratio_to_pgbench: float
    jobs_per_message: float
    rss_mb: dict[str, float]  # The most that a process of each kind held meanwhile.


def measure(scene: Scene) -> Headline:
    bare = scene.yardstick()
    memory.forget_peaks(scene.stack)
    found = load.run(scene, scene.bank.targets, clients=scene.options.clients, seconds=scene.options.seconds)
    scene.peak_per_second = max(scene.peak_per_second, found.settled_per_second)
    return Headline(
        bare=bare,
        round=found,
        pgbench_tps=bare.best,
        transfers_per_second=found.settled_per_second,
        ratio_to_pgbench=round(found.settled_per_second / bare.best, 3),
        jobs_per_message=found.jobs_per_message,
        rss_mb=memory.by_kind(memory.by_process(scene.stack, memory.PEAK)),
    )
