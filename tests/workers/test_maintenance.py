from datetime import UTC, datetime, timedelta

from uuid_utils.compat import uuid7

import db.sessions
from db.engine import transaction
from db.sessions import Session
from tests import committed, made
from workers import maintenance


def test_a_fold_brings_the_systems_balances_up_to_date_and_a_second_one_changes_nothing(url: str) -> None:
    committed.opened(url, 5_00, 2_00)
    assert [maintenance.fold() for _ in range(2)] == [{"wallets": 1}, {"wallets": 0}]
    [row] = committed.execute(url, "SELECT balance FROM wallets WHERE type = 'cash_in' AND currency = 'RWF'")
    assert row.balance == -7_00


def test_a_purge_forgets_old_sessions_and_a_second_one_finds_none(url: str) -> None:
    with transaction(url) as tx:
        session = Session(id=uuid7(), customer_id=made.customer(tx))
        db.sessions.start(tx, session, b"digest", datetime.now(UTC) - timedelta(days=2))
    assert [maintenance.purge() for _ in range(2)] == [
        {"sessions": 1, "partitions_added": 0, "partitions_dropped": 0},
        {"sessions": 0, "partitions_added": 0, "partitions_dropped": 0},
    ]
