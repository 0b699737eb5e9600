from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, event
from uuid_utils.compat import uuid7

import db.chain
import db.sessions
from db.engine import engine, transaction
from db.sessions import Session
from settings import settings
from tests import committed, made
from workers import maintenance


def test_a_fold_brings_the_systems_balances_up_to_date_and_a_second_one_changes_nothing(url: str) -> None:
    committed.opened(url, 5_00, 2_00)
    committed.told(url)
    assert [maintenance.fold() for _ in range(2)] == [{"wallets": 1}, {"wallets": 0}]
    [row] = committed.execute(url, "SELECT balance FROM wallets WHERE type = 'cash_in' AND currency = 'RWF'")
    assert row.balance == -7_00


@pytest.mark.parametrize(("most", "sealed"), [(0, [5, 2, 0]), (1, [7, 0, 0]), (6, [7, 0, 0]), (7, [7, 0, 0])])
def test_a_task_seals_so_many_full_blocks_and_the_next_one_goes_on(
    url: str, monkeypatch: pytest.MonkeyPatch, most: int, sealed: list[int]
) -> None:
    monkeypatch.setattr(db.chain, "TRANSACTIONS_MAX", most)  # A block has one more.
    for _ in range(maintenance.BLOCKS_MAX + 2):
        committed.opened(url, 1_00)
    committed.told(url)
    assert [maintenance.seal() for _ in sealed] == [{"transactions": count} for count in sealed]


def test_what_is_posted_while_a_task_seals_is_for_the_next_one(url: str) -> None:
    posted = committed.opened(url, 1_00)
    committed.told(url)
    sealing = engine(settings().database_worker_url)

    def post(_: Connection) -> None:
        with transaction(url) as tx:
            posted.append(made.transfer_between_two(tx))

    event.listen(sealing, "commit", post)
    try:
        first = maintenance.seal()
    finally:
        event.remove(sealing, "commit", post)
    assert (first, len(posted)) == ({"transactions": 1}, 2)
    committed.told(url)
    assert maintenance.seal() == {"transactions": 2}  # The transfer, and what was paid in for it.


def test_a_purge_forgets_old_sessions_and_a_second_one_finds_none(url: str) -> None:
    maintenance.purge()  # The database may be of last month: then another one is made room for.
    with transaction(url) as tx:
        session = Session(id=uuid7(), customer_id=made.customer(tx))
        db.sessions.start(tx, session, b"digest", datetime.now(UTC) - timedelta(days=2))
    assert [maintenance.purge() for _ in range(2)] == [
        {"sessions": 1, "partitions_added": 0, "partitions_dropped": 0},
        {"sessions": 0, "partitions_added": 0, "partitions_dropped": 0},
    ]
