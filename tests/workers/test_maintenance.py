from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat

import pytest
from uuid_utils.compat import uuid7

import db.chain
import db.sessions
from db.engine import transaction
from db.sessions import Session
from tests import committed, made
from workers import maintenance

FULL = db.chain.TRANSACTIONS_MAX


def test_a_fold_brings_the_systems_balances_up_to_date_and_a_second_one_changes_nothing(url: str) -> None:
    committed.opened(url, 5_00, 2_00)
    assert [maintenance.fold() for _ in range(2)] == [{"wallets": 1}, {"wallets": 0}]
    [row] = committed.execute(url, "SELECT balance FROM wallets WHERE type = 'cash_in' AND currency = 'RWF'")
    assert row.balance == -7_00


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize(
    ("blocks", "transactions"),
    [
        (repeat(0), 0),
        (repeat(1), 1),
        (chain([FULL, FULL + 1], repeat(2)), 2 * FULL + 3),
        (repeat(FULL), maintenance.BLOCKS_MAX * FULL),
    ],
    ids=["nothing", "somebody posts one after the other", "a backlog and what is posted meanwhile", "a long backlog"],
)
def test_sealing_ends_however_much_is_posted_meanwhile(
    blocks: Iterator[int], transactions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.chain, "extend", lambda _: next(blocks))
    assert maintenance.seal() == {"transactions": transactions}


def test_a_purge_forgets_old_sessions_and_a_second_one_finds_none(url: str) -> None:
    with transaction(url) as tx:
        session = Session(id=uuid7(), customer_id=made.customer(tx))
        db.sessions.start(tx, session, b"digest", datetime.now(UTC) - timedelta(days=2))
    assert [maintenance.purge() for _ in range(2)] == [
        {"sessions": 1, "partitions_added": 0, "partitions_dropped": 0},
        {"sessions": 0, "partitions_added": 0, "partitions_dropped": 0},
    ]
