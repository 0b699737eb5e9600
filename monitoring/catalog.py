"""Every metric that the code exposes, read from the code itself: for the page, and to check dashboards and rules."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import msgspec
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

import api.gauges
import api.intake
import api.observed
import api.pressure
import api.reads
import exposed
import workers.children
import workers.metrics
from db.async_engine import PoolUse
from db.metrics import Backlog, Book, Snapshot
from db.outbox import Totals

UNITS = {"_seconds": "seconds", "_bytes": "bytes", "_minor_units": "minor units"}
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("",), "gauge": ("",)}


class Exposed(msgspec.Struct, frozen=True, kw_only=True):
    """A metric under the name that queries know."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def unit(self) -> str:
        name = self.name.removesuffix("_total")
        return next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), "")

    def series(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the names of its series, with their labels."""
        for suffix in SUFFIXES[self.type]:
            yield f"{self.name}{suffix}", (*self.labels, *(["le"] if suffix == "_bucket" else []))


@lru_cache(maxsize=1)
def sections() -> dict[str, list[Exposed]]:
    """Return the metrics by who exposes them."""
    nowhere = CollectorRegistry()
    return {
        "Every process": [*_of([exposed.prepare(nowhere)]), *OF_LINUX],
        "The API, the sweeper and beat": [*_of(_of_python())],
        "The API": [
            *_of([*_made_by(api.observed), *_made_by(api.intake), *_made_by(api.pressure), *_made_by(api.reads)]),
            *_of([*api.gauges.of_process(PoolUse(size=1, in_use=0, waiting=0), 0), api.gauges.of_replica(0)]),
        ],
        "The API, from the database": [*_of(_of_database())],
        "Whoever rings: the API, workers, the sweeper": [*_of(_made_by(workers.metrics.Rings(nowhere)))],
        "Whoever settles: workers, and the sweeper where nobody else does": [
            *_of(_made_by(workers.metrics.Batches(nowhere)))
        ],
        "The sweeper": [*_of(_made_by(workers.metrics.Sweeps(nowhere)))],
        "Workers": [*_of(workers.children.families([], [])), *_of(_made_by(workers.metrics.Upkeep(nowhere)))],
    }


def every() -> list[Exposed]:
    return [one for section in sections().values() for one in section]


def _of_database() -> list[Metric]:
    book = Book(currency="RWF", trial_balance=0, customer_funds=0, unfolded_entries=0)
    found = Snapshot(
        backlogs=[Backlog(queue="q", kind="k")],
        failed_jobs=0,
        endpoints={},
        webhooks=Totals(by_outcome={}, oldest_due_seconds=0),
        unsealed_seconds=0,
    )
    return [api.gauges.of_database(is_up=True), *api.gauges.of_rows(found), *api.gauges.of_ledger([book])]


def _of_python() -> Iterator[Metric]:
    """Yield what prometheus_client exposes by itself."""
    for collector in (PLATFORM_COLLECTOR, GC_COLLECTOR):
        yield from collector.collect()


# By prometheus_client's process collector, which has nothing to say on other systems than Linux.
OF_LINUX = [
    Exposed(name=f"process_{name}", type="counter" if name.endswith("_total") else "gauge", labels=(), meaning=meaning)
    for name, meaning in {
        "resident_memory_bytes": "Memory. Of a worker: its parent's, whose children have their own metric.",
        "virtual_memory_bytes": "Address space.",
        "cpu_seconds_total": "CPU time, likewise.",
        "start_time_seconds": "When it started, since 1970.",
        "open_fds": "Files and connections that are open.",
        "max_fds": "How many may be.",
    }.items()
]


def _made_by(owner: object) -> list[MetricWrapperBase]:
    """Return the metrics that a module or an object keeps, without those it keeps for single labels as well."""
    kept = [one for one in vars(owner).values() if isinstance(one, MetricWrapperBase)]
    return [one for one in kept if not one._labelvalues]  # noqa: SLF001 - nothing else tells a metric from a child of it


def _of(metrics: Iterable[Metric | MetricWrapperBase]) -> Iterator[Exposed]:
    for metric in metrics:
        family = next(iter(metric.collect())) if isinstance(metric, MetricWrapperBase) else metric
        yield Exposed(
            name=f"{family.name}_total" if family.type == "counter" else family.name,
            type=family.type,
            labels=_labels(metric),
            meaning=family.documentation,
        )


def _labels(metric: Metric | MetricWrapperBase) -> tuple[str, ...]:
    """Return a metric's labels, also of one that nothing has been counted with."""
    declared: Iterable[str] = getattr(metric, "_labelnames", ())
    found = {name for sample in getattr(metric, "samples", ()) for name in sample.labels}
    return tuple(declared) or tuple(sorted(found))
