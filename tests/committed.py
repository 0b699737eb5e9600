"""Rows that tests of the workers commit, on a database of their own, and what became of them."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import redis
from redis.client import PubSub
from sqlalchemy import Connection, text

import db.jobs
import db.wallets
from db.engine import transaction
from db.events import HORIZON
from domain.jobs import FINISHED_CHANNEL, Job, JobState, Kind, Queue, Submission
from domain.transactions import Movement
from tests import databases
from tests.made import submission, wallet
from workers import batches


def queued(url: str, *submissions: Submission) -> list[UUID]:
    """Stage jobs and commit; return their ids."""
    with transaction(url) as tx:
        db.jobs.stage(tx, submissions)
    return [one.id for one in submissions]


def opened(url: str, *amounts: int) -> list[UUID]:
    """Open wallets of new customers and commit; return their ids. The deposits are sealed with the system's key."""
    with transaction(url) as tx:
        ids = [wallet(tx) for _ in amounts]
    paid = zip(ids, amounts, strict=True)
    queued(url, *(deposit_of(wallet_id, amount) for wallet_id, amount in paid if amount))
    batches.drain(Queue.TRANSACTIONS)
    return ids


def deposit_of(wallet_id: UUID, amount: int, **naming: str) -> Submission:
    movement = Movement(amount=amount, currency="RWF", destination_wallet_id=wallet_id)
    return submission(Kind.DEPOSIT_CREATE, movement, **naming)


def jobs(url: str, job_ids: list[UUID]) -> list[Job]:
    """Return the jobs as they stand, in the order of the ids."""
    with transaction(url) as tx:
        stored = [db.jobs.find(tx, job_id) for job_id in job_ids]
    return [one.job for one in stored if one is not None]


def states(url: str, job_ids: list[UUID]) -> list[JobState]:
    return [one.state for one in jobs(url, job_ids)]


def balances(url: str, wallet_ids: list[UUID]) -> list[int]:
    with transaction(url) as tx:
        found = [db.wallets.find(tx, wallet_id) for wallet_id in wallet_ids]
    return [one.balance for one in found if one is not None]


def execute(url: str, statement: str) -> list[Any]:
    """Run SQL as the owner of `url` and commit; return its rows, if it has any."""
    with transaction(url) as tx:
        result = tx.exec_driver_sql(statement)
        return list(result) if result.returns_rows else []


def forget_events(owner: Connection) -> None:
    """Empty the tables of jobs, events and webhooks, and commit: cheaper than another database for each test."""
    owner.rollback()
    owner.exec_driver_sql(FORGET_EVENTS)
    owner.commit()


# Rules sleep meanwhile: history cannot be deleted otherwise.
FORGET_EVENTS = """
    SET LOCAL session_replication_role = replica;
    DELETE FROM webhook_deliveries;
    DELETE FROM webhook_secrets;
    DELETE FROM webhook_endpoints;
    DELETE FROM events;
    DELETE FROM entries;
    DELETE FROM transactions;
    DELETE FROM jobs;
    DELETE FROM api_keys;
    UPDATE webhook_cursor SET xact_id = 0, event_id = CAST('00000000-0000-0000-0000-000000000000' AS uuid);
    UPDATE webhook_totals SET deliveries = 0;
"""


def wait_until_told(connection: Connection) -> None:
    """Commit, and return once readers see every event: others of the server may still be at work."""
    connection.commit()
    deadline = time.monotonic() + 10
    while connection.scalar(UNTOLD):
        assert time.monotonic() < deadline, "a transaction of the server does not end"
        connection.rollback()
    connection.rollback()


def told(url: str) -> None:
    """Do the same for what others have committed, on a connection of its own."""
    with databases.connected(url) as connection:
        wait_until_told(connection)


UNTOLD = text(f"SELECT EXISTS (SELECT FROM events WHERE xact_id >= {HORIZON})")  # noqa: S608 - a constant


@contextlib.contextmanager
def listening(broker: redis.Redis) -> Iterator[PubSub]:
    """Listen to the notices of finished jobs."""
    with broker.pubsub(ignore_subscribe_messages=True) as waiter:  # type: ignore[no-untyped-call]  # redis
        waiter.subscribe(FINISHED_CHANNEL)
        waiter.get_message(timeout=1)
        yield waiter


def heard(waiter: PubSub, seconds: float = 2) -> list[UUID]:
    """Return the jobs of the next notice; none when there is none."""
    message = waiter.get_message(timeout=seconds)
    return [] if message is None else msgspec.json.decode(message["data"], type=list[UUID])
