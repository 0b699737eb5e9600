"""Memory over a long time: half of the maximum load, the resident set of each process every ten seconds."""

import threading
import time

import msgspec

from bench import load, memory
from bench.figures import Spread, slope
from bench.half import SHARE, paced, settle_spread
from bench.paced import CONNECTIONS_MAX
from bench.scene import Scene

SAMPLE_SECONDS = 10.0
WARM_UP_SHARE = 0.2  # Caches fill and pools grow in the first fifth; only what follows is a trend.
CROWD_SECONDS = 5
SECONDS_PER_HOUR = 3_600


class Soak(msgspec.Struct, frozen=True, kw_only=True):
    """`rss_slope_mb_per_hour` is the steepest of all processes."""

    minutes: float
    rate_per_second: float
    settled: int
    rss_slope_mb_per_hour: float
    slopes_mb_per_hour: dict[str, float]
    rss_mb: dict[str, float]
    accept_ms: Spread
    settle_ms: Spread


class Sampler(threading.Thread):
    """Notes what each process holds until it is stopped."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(daemon=True)
        self._scene = scene
        self._stopped = threading.Event()
        self.samples: list[tuple[float, dict[str, float]]] = []

    def run(self) -> None:
        began = time.monotonic()
        while not self._stopped.wait(SAMPLE_SECONDS):
            self.samples.append((time.monotonic() - began, memory.by_process(self._scene.stack)))

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def measure(scene: Scene) -> Soak:
    # What a burst takes once is no trend: all requests that the load can have under way are so before it begins.
    crowd = load.run(scene, scene.bank.targets, clients=CONNECTIONS_MAX, seconds=CROWD_SECONDS)
    rate = SHARE * (scene.peak_per_second or crowd.settled_per_second)
    began, sampler = scene.database.now(), Sampler(scene)
    memory.forget_peaks(scene.stack)
    sampler.start()
    try:
        answered = paced(scene.stack.api_url, scene.bank.targets, rate, 60 * scene.options.soak_minutes)
    finally:
        sampler.stop()
    scene.database.wait_settled()
    slopes = trends(sampler.samples)
    return Soak(
        minutes=scene.options.soak_minutes,
        rate_per_second=round(rate, 1),
        settled=load.settled_since(scene.database, began)[0],
        rss_slope_mb_per_hour=max(slopes.values()),
        slopes_mb_per_hour=slopes,
        rss_mb=memory.by_kind(memory.by_process(scene.stack, memory.PEAK)),
        accept_ms=answered.accept_ms,
        settle_ms=settle_spread(scene.database, began),
    )


def trends(samples: list[tuple[float, dict[str, float]]]) -> dict[str, float]:
    """Return the megabytes an hour that each process grew by, once it was warm."""
    warm = samples[int(len(samples) * WARM_UP_SHARE) :]
    names = warm[-1][1] if warm else {}
    return {
        name: round(SECONDS_PER_HOUR * slope([(seconds, held[name]) for seconds, held in warm]), 2) for name in names
    }
