"""What every process exposes beside its own metrics: which release it is, so that a change in a graph has a cause."""

import platform
from functools import lru_cache

from prometheus_client import CollectorRegistry, Gauge, disable_created_metrics

from process import version


@lru_cache(maxsize=4)
def prepare(registry: CollectorRegistry) -> Gauge:
    """Add `tekana_build_info`, and leave out when each counter was made: that doubles the series and serves nobody."""
    disable_created_metrics()  # type: ignore[no-untyped-call] # untyped library
    info = Gauge("tekana_build_info", "1; the labels say what runs.", ["version", "python"], registry=registry)
    info.labels(version(), platform.python_version()).set(1)
    return info
