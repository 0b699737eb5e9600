"""Housekeeping. Each function is safe to run at any time, twice, and by several workers."""

import db.sessions
import db.transactions
from db.engine import transaction
from settings import settings


def fold() -> dict[str, int]:
    """Bring the system wallets' balances up to what was posted."""
    with transaction(settings().database_worker_url) as tx:
        return {"wallets": db.transactions.fold_system_wallets(tx)}


def purge() -> dict[str, int]:
    """Forget the sessions that ended long ago."""
    with transaction(settings().database_worker_url) as tx:
        return {"sessions": db.sessions.purge(tx)}
