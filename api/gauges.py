"""How it stands at this moment: asked at each scrape, and left out when there is no answer.

A figure that is remembered looks like one that is true: when the database is away, `tekana_database_up` says so and
the others are missing.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import db.metrics
from api.intake import Intake
from api.replica import Replica
from db.async_engine import AsyncTransactions, PoolUse
from db.engine import DatabaseError
from db.metrics import Book, Snapshot

BOOKS_SECONDS = 60.0  # How old the books may be: to add them up reads every wallet, 0.3 s for a million.


class Families(Collector):
    """Metrics that have been measured already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


class Gauges:
    def __init__(self, database: AsyncTransactions, *intakes: Intake, replica: Replica | None = None) -> None:
        self._database = database
        self._replica = replica
        self._intakes = intakes
        self._books: list[Metric] = []
        self._books_due_at = 0.0  # By the monotonic clock.
        self._adding_up = asyncio.Lock()  # Two scrapers share what one of them has asked for.

    async def read(self) -> Families:
        """Measure; what the database does not say is left out."""
        here = of_process(self._database.use, sum(intake.waiting for intake in self._intakes))
        if self._replica is not None:
            here.append(of_replica(self._replica.age_seconds))
        try:
            found = await self._database.run(db.metrics.snapshot)
        except (DatabaseError, OSError, TimeoutError):
            return Families([*here, of_database(is_up=False)])
        return Families([*here, of_database(is_up=True), *of_rows(found), *await self._ledger()])

    async def _ledger(self) -> list[Metric]:
        """Add the books up, unless that was done just now; return nothing when the database does not do it."""
        async with self._adding_up:
            if time.monotonic() >= self._books_due_at:
                try:
                    self._books = of_ledger(await self._database.run(db.metrics.books))
                except (DatabaseError, OSError, TimeoutError):
                    return []
                self._books_due_at = time.monotonic() + BOOKS_SECONDS
            return self._books


def of_process(pool: PoolUse, waiting: int) -> list[Metric]:
    return [
        _gauge("tekana_accept_waiting_requests", "Requests that wait for the next flush.", waiting),
        _gauge("tekana_database_connections_max", "Connections that this process may open.", pool.size),
        _gauge("tekana_database_connections_in_use", "Connections that work for a request.", pool.in_use),
        _gauge("tekana_database_connections_waiting", "Requests that wait for a connection.", pool.waiting),
    ]


def of_replica(age_seconds: float) -> Metric:
    return _gauge(
        "tekana_replica_age_seconds",
        "How old at most what the replica shows is; infinite while nobody knows, missing without a replica.",
        age_seconds,
    )


def of_database(*, is_up: bool) -> Metric:
    return _gauge("tekana_database_up", "1 when the database answered this scrape, or else 0.", int(is_up))


def of_rows(found: Snapshot) -> list[Metric]:
    jobs = GaugeMetricFamily(
        "tekana_queue_jobs",
        f"Queued jobs, among the oldest {db.metrics.COUNTED_MAX:,} of their queue.",
        labels=["queue", "kind"],
    )
    retried = GaugeMetricFamily(
        "tekana_queue_retried_jobs", "Queued jobs that were tried before, in vain.", labels=["queue", "kind"]
    )
    age = GaugeMetricFamily(
        "tekana_queue_oldest_job_age_seconds",
        "Time since the acceptance of the oldest queued job; 0 without any.",
        labels=["queue", "kind"],
    )
    for one in found.backlogs:
        jobs.add_metric([one.queue, one.kind], one.jobs)
        retried.add_metric([one.queue, one.kind], one.retried)
        age.add_metric([one.queue, one.kind], one.oldest_seconds)
    failed = _gauge("tekana_failed_jobs", "Jobs that failed for good and that nobody has requeued.", found.failed_jobs)
    unsealed = _gauge(
        "tekana_ledger_unsealed_seconds",
        "Time since the posting of the oldest transaction that is in no block of the chain; 0 without any.",
        found.unsealed_seconds,
    )
    return [jobs, retried, age, failed, unsealed, *_of_webhooks(found)]


def _of_webhooks(found: Snapshot) -> list[Metric]:
    attempts = CounterMetricFamily(
        "tekana_webhook_attempts", "Attempts to deliver, by what came of them, of all workers.", labels=["outcome"]
    )
    for outcome, count in found.webhooks.by_outcome.items():
        attempts.add_metric([outcome], count)
    endpoints = GaugeMetricFamily("tekana_webhook_endpoints", "Webhook endpoints, by how they are.", labels=["state"])
    for state, count in found.endpoints.items():
        endpoints.add_metric([state], count)
    oldest = _gauge(
        "tekana_webhook_oldest_due_seconds",
        "How long the oldest due delivery, or event to be told, has been waiting; 0 without any.",
        found.webhooks.oldest_due_seconds,
    )
    return [attempts, endpoints, oldest]


def of_ledger(books: Sequence[Book]) -> list[Metric]:
    balance = GaugeMetricFamily(
        "tekana_ledger_trial_balance_minor_units",
        f"Sum of all wallets of a currency in use, at most {BOOKS_SECONDS:.0f} s old: nothing but 0 is right.",
        labels=["currency"],
    )
    funds = GaugeMetricFamily(
        "tekana_ledger_customer_funds_minor_units", "What customers hold, likewise.", labels=["currency"]
    )
    unfolded = GaugeMetricFamily(
        "tekana_ledger_unfolded_entries",
        "Entries that the system wallets' balances do not show yet, likewise.",
        labels=["currency"],
    )
    for book in books:
        balance.add_metric([book.currency], book.trial_balance)
        funds.add_metric([book.currency], book.customer_funds)
        unfolded.add_metric([book.currency], book.unfolded_entries)
    return [balance, funds, unfolded, _gauge("tekana_ledger_currencies", "Currencies in use, likewise.", len(books))]


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
