"""Housekeeping. Each function is safe to run at any time, twice, and by several workers."""

import db.deliveries
import db.sessions
import db.transactions
from db.engine import transaction
from settings import settings
from workers import metrics

DELIVERIES_AT_ONCE = 5_000  # In one transaction: about 100 ms.


def fold() -> dict[str, int]:
    """Bring the system wallets' balances up to what was posted."""
    with transaction(settings().database_worker_url) as tx:
        wallets = db.transactions.fold_system_wallets(tx)
    metrics.upkeep().runs.labels("fold").inc()
    return {"wallets": wallets}


def purge() -> dict[str, int]:
    """Forget the sessions and deliveries that ended long ago."""
    with transaction(settings().database_worker_url) as tx:
        sessions = db.sessions.purge(tx)
    deliveries = 0
    while purged := _purge_deliveries():
        deliveries += purged
    metrics.upkeep().runs.labels("purge").inc()
    return {"sessions": sessions, "deliveries": deliveries}


def _purge_deliveries() -> int:
    with transaction(settings().database_worker_url) as tx:
        return db.deliveries.purge(tx, settings().webhook_delivery_days, DELIVERIES_AT_ONCE)
