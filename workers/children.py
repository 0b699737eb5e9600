"""A worker's pool children, as its parent sees them, and what they take of the machine."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MEMORY, CPU = "process_resident_memory_bytes", "process_cpu_seconds"


class Children(Collector):
    """Looks at each scrape."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    def collect(self) -> Iterator[Metric]:
        pool: Any = getattr(self._worker, "pool", None)
        is_started = getattr(pool, "_pool", None) is not None  # The port is open before there are children.
        pids = pool.info.get("processes", []) if is_started else []
        yield from families(self._worker.app.amqp.queues.consume_from, pids)


def families(queues: Iterable[str], pids: list[int]) -> Iterator[Metric]:
    children = GaugeMetricFamily("tekana_worker_children", "Pool children, by queue they settle.", labels=["queue"])
    memory = GaugeMetricFamily("tekana_worker_child_resident_memory_bytes", "Memory of a pool child.", labels=["pid"])
    cpu = CounterMetricFamily("tekana_worker_child_cpu_seconds", "CPU time of a pool child.", labels=["pid"])
    for queue in queues:
        children.add_metric([queue], len(pids))
    for pid in pids:
        process = ProcessCollector(pid=partial(int, pid), registry=None)
        found = {family.name: family.samples[0].value for family in process.collect()}
        if found.keys() >= {MEMORY, CPU}:  # A child may end while it is looked at.
            memory.add_metric([str(pid)], found[MEMORY])
            cpu.add_metric([str(pid)], found[CPU])
    yield from (children, memory, cpu)
