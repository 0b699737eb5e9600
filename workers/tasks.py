"""What Celery can be asked to do: drain a queue of jobs, and keep house. Arguments are for the operator's eyes."""

from celery import shared_task

from domain.jobs import Queue
from workers import batches, deliveries, maintenance
from workers.batches import LINGER_SECONDS


@shared_task(name="customers.settle")
def settle_customers(count: int, first_job_id: str) -> dict[str, int]:  # noqa: ARG001 - Flower shows them
    return batches.drain(Queue.CUSTOMERS, linger_seconds=LINGER_SECONDS)


@shared_task(name="wallets.settle")
def settle_wallets(count: int, first_job_id: str) -> dict[str, int]:  # noqa: ARG001 - Flower shows them
    return batches.drain(Queue.WALLETS, linger_seconds=LINGER_SECONDS)


@shared_task(name="transactions.settle")
def settle_transactions(count: int, first_job_id: str) -> dict[str, int]:  # noqa: ARG001 - Flower shows them
    return batches.drain(Queue.TRANSACTIONS, linger_seconds=LINGER_SECONDS)


@shared_task(name="webhooks.settle")
def settle_webhooks(count: int, first_id: str) -> dict[str, int]:  # noqa: ARG001 - Flower shows them
    return deliveries.settle()


@shared_task(name="maintenance.fold")
def fold() -> dict[str, int]:
    return maintenance.fold()


@shared_task(name="maintenance.seal")
def seal() -> dict[str, int]:
    return maintenance.seal()


@shared_task(name="maintenance.purge")
def purge() -> dict[str, int]:
    return maintenance.purge()
