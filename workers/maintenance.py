"""Housekeeping. Each function is safe to run at any time, twice, and by several workers."""

from collections.abc import Iterator
from datetime import UTC, datetime

import db.chain
import db.partitions
import db.sessions
import db.transactions
from db.engine import DatabaseError, is_retryable, transaction
from domain.retention import months_ahead
from settings import settings
from workers import metrics

BLOCKS_MAX = 5  # In one task, which may take 20 s: a full one takes half a second, on a busy machine two.


def fold() -> dict[str, int]:
    """Bring the system wallets' balances up to what was posted."""
    with transaction(settings().database_worker_url) as tx:
        wallets = db.transactions.fold_system_wallets(tx)
    metrics.upkeep().runs.labels("fold").inc()
    return {"wallets": wallets}


def seal() -> dict[str, int]:
    """Chain what was posted since the last time, block after block while they are full.

    What is posted meanwhile is the next time's: whoever waits for nothing to be left never ends while others settle.
    """
    transactions = 0
    for _ in range(BLOCKS_MAX):
        added = _sealed()
        transactions += added
        if added <= db.chain.TRANSACTIONS_MAX:
            break
    metrics.upkeep().runs.labels("seal").inc()
    return {"transactions": transactions}


def _sealed() -> int:
    with transaction(settings().database_worker_url) as tx:
        return db.chain.extend(tx)


def purge() -> dict[str, int]:
    """Forget the sessions, deliveries and events of long ago, and make room for those of the months to come."""
    with transaction(settings().database_worker_url) as tx:
        sessions = db.sessions.purge(tx)
    kept_days = {"webhook_deliveries": settings().webhook_delivery_days, "events": settings().event_days}
    added = sum(1 for table in kept_days for _ in _added(table))
    dropped = sum(1 for table, days in kept_days.items() for _ in _dropped(table, days))
    metrics.upkeep().runs.labels("purge").inc()
    return {"sessions": sessions, "partitions_added": added, "partitions_dropped": dropped}


def _added(table: str) -> Iterator[datetime]:
    for month in months_ahead(datetime.now(UTC)):
        try:
            with transaction(settings().database_worker_url) as tx:
                is_new = db.partitions.add(tx, table, month)
        except DatabaseError as error:
            if not is_retryable(error):
                raise
            return  # Somebody reads or writes it for long; beat asks again in an hour.
        if is_new:
            yield month


def _dropped(table: str, older_than_days: int) -> Iterator[str]:
    """Drop one after the other, each in a transaction of its own, so that nothing waits for more than one."""
    while True:
        try:
            with transaction(settings().database_worker_url) as tx:
                name = db.partitions.drop_oldest(tx, table, older_than_days)
        except DatabaseError as error:
            if not is_retryable(error):
                raise
            return  # As above.
        if name is None:
            return
        yield name
