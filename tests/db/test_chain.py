"""The chain of the ledger: what was posted is sealed once, and what is done to it afterwards is seen."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

import db.audit
import db.chain
import db.schema
from domain.chain import Head
from settings import Settings
from tests import made
from tests.databases import connected, refused_by, wait_until_blocked

BLOCKS = text("SELECT number, before_xact_id, transactions, digest, head FROM blocks ORDER BY number")
SEALS = text("SELECT seal FROM transactions ORDER BY coalesce(xact_id, 0), id")


@pytest.fixture
def owner(fresh: Settings) -> Iterator[Connection]:
    """Three blocks: the first one, empty, and two of two transactions each."""
    with connected(fresh.database_url) as tx:
        for _ in range(2):
            for _ in range(2):
                made.transfer_between_two(tx)
                tx.commit()
            assert db.chain.extend(tx) > 0
            tx.commit()
        yield tx


def test_blocks_are_what_anybody_can_compute_from_the_seals(owner: Connection) -> None:
    seals, blocks = owner.scalars(SEALS).all(), owner.execute(BLOCKS).all()
    assert [block.number for block in blocks] == [0, 1, 2]
    head, done = b"", 0
    for block in blocks:
        digest = hashlib.sha256(b"".join(seals[done : block.transactions])).digest()
        numbers = (block.number, block.before_xact_id, block.transactions)
        head = hashlib.sha256(head + b"".join(one.to_bytes(8, "big") for one in numbers) + digest).digest()
        assert (block.digest, block.head) == (digest, head)
        done = block.transactions
    assert done == len(seals) > 0
    latest = db.chain.latest(owner)
    assert (latest.block, latest.head, latest.transactions) == (2, head.hex(), done)
    assert [earlier.transactions for earlier in blocks] == sorted({block.transactions for block in blocks})


def test_where_nothing_was_posted_there_is_no_block(owner: Connection) -> None:
    before = db.chain.latest(owner)
    assert db.chain.extend(owner) == 0
    assert db.chain.latest(owner) == before


def test_what_is_not_committed_is_not_passed_by(owner: Connection, fresh: Settings) -> None:
    before = db.chain.latest(owner)
    with connected(fresh.database_url) as slow:
        made.transfer_between_two(slow)  # Has its number, and is seen by nobody.
        made.transfer_between_two(owner)
        owner.commit()
        assert db.chain.extend(owner) == 0
        owner.commit()
        slow.commit()
    assert db.chain.extend(owner) > 0
    assert holes(owner) == []
    assert db.chain.latest(owner).transactions > before.transactions


@pytest.mark.usefixtures("owner")
def test_a_block_cannot_end_after_what_still_runs(fresh: Settings) -> None:
    with connected(fresh.database_url) as slow, connected(fresh.database_worker_url) as worker:
        made.transfer_between_two(slow)
        running = slow.scalar(text("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)"))
        worker.execute(BLOCK, {"number": 3, "before": running})
        worker.rollback()
        with refused_by("blocks_end_before_what_runs"):
            worker.execute(BLOCK, {"number": 3, "before": running + 1})
        worker.rollback()
        slow.rollback()


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize("number", [-1, 4, 2**63 - 1])
def test_a_block_cannot_have_another_number_than_the_next(fresh: Settings, number: int) -> None:
    with connected(fresh.database_worker_url) as worker:
        with refused_by("blocks_follow_each_other"), worker.begin_nested():
            worker.execute(BLOCK, {"number": number, "before": 1})
        with refused_by("blocks_pkey"), worker.begin_nested():
            worker.execute(BLOCK, {"number": 2, "before": 1})
        worker.execute(BLOCK, {"number": 3, "before": 1})


BLOCK = text("""
    INSERT INTO blocks (number, before_xact_id, transactions, digest, head)
    SELECT :number, :before, transactions, digest, head FROM blocks WHERE number = 2
""")


def test_a_block_has_so_many_transactions_and_those_of_one_more_batch(
    owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.chain, "TRANSACTIONS_MAX", 0)
    for _ in range(3):
        made.transfer_between_two(owner)
        owner.commit()
    added = []
    while some := db.chain.extend(owner):
        added.append(some)
        owner.commit()
    assert len(added) == 3
    assert holes(owner) == []


EARLIER_IDS = """
    UPDATE transactions SET xact_id = NULL, id = CAST(lpad(to_hex(CAST(:milliseconds AS bigint)), 12, '0') || right(
        translate(CAST(id AS text), '-', ''), 20) AS uuid) WHERE id = :id
"""


@pytest.fixture(params=[1_800_000_000_000, 2**48 - 1], ids=["any moment", "the last moment of all"])
def earlier(fresh: Settings, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Transactions that were there before the chain: two at one moment, one later, the last one at this moment."""
    with connected(fresh.database_url) as tx:
        for _ in range(2):
            made.transfer_between_two(tx)
        tx.execute(text("SET LOCAL session_replication_role = replica"))
        ids = tx.scalars(text("SELECT id FROM transactions ORDER BY id")).all()
        for id_, milliseconds in zip(ids, (5, 5, 1_700_000_000_000, request.param), strict=True):
            tx.execute(text(EARLIER_IDS), {"id": id_, "milliseconds": milliseconds})
        tx.execute(text("DELETE FROM blocks"))
        migration = ScriptDirectory.from_config(db.schema.config(tx)).get_revision("2026_11_26_0600").module
        tx.exec_driver_sql(migration.FIRST_BLOCK)
        tx.commit()
        yield tx


@pytest.mark.parametrize(("most", "blocks"), [(0, [0, 2, 3, 4]), (1, [0, 2, 4]), (3, [0, 4]), (100, [0, 4])])
def test_what_was_there_before_the_chain_is_sealed_in_many_blocks_and_what_came_after_follows(
    earlier: Connection, monkeypatch: pytest.MonkeyPatch, most: int, blocks: list[int]
) -> None:
    made.transfer_between_two(earlier)
    earlier.commit()
    monkeypatch.setattr(db.chain, "TRANSACTIONS_MAX", most)
    while db.chain.extend(earlier):
        earlier.commit()
    found = earlier.scalars(text("SELECT transactions FROM blocks ORDER BY number")).all()
    assert found[: len(blocks)] == blocks
    assert found[-1] == 6
    assert holes(earlier) == []


def test_a_ledger_whose_first_block_holds_all_that_was_there_before_goes_on_after_it(earlier: Connection) -> None:
    earlier.execute(text("SET LOCAL session_replication_role = replica"))
    earlier.execute(text("DELETE FROM blocks"))
    earlier.execute(
        text("""
        INSERT INTO blocks (number, before_xact_id, transactions, digest, head)
        SELECT 0, 1, transactions, digest, sha256(int8send(0) || int8send(1) || int8send(transactions) || digest)
          FROM (SELECT count(*) AS transactions, sha256(string_agg(seal, '' ORDER BY id)) AS digest
                  FROM transactions) AS before
    """)
    )
    assert db.chain.extend(earlier) == 0
    earlier.commit()
    made.transfer_between_two(earlier)
    earlier.commit()
    assert db.chain.extend(earlier) == 2
    assert holes(earlier) == []


def test_of_two_who_seal_at_once_one_does(owner: Connection, fresh: Settings) -> None:
    made.transfer_between_two(owner)
    owner.commit()
    with connected(fresh.database_worker_url) as first, connected(fresh.database_worker_url) as second:
        assert db.chain.extend(first) > 0
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(db.chain.extend, second)
            wait_until_blocked(owner, waiting)
            first.commit()
            assert waiting.result() == 0
        second.commit()
    assert holes(owner) == []


FORGED = """
    INSERT INTO transactions
    SELECT (jsonb_populate_record(one, '{{"id": "{other}"}}')).* FROM transactions AS one WHERE id = '{first}'
"""
# With the head that a block of that number would have, and with the one that the missing number would have.
SKIPPING = """
    UPDATE blocks SET number = 3,
           head = sha256((SELECT head FROM blocks WHERE number = 1) || int8send(3) || int8send(before_xact_id)
                         || int8send(transactions) || digest) WHERE number = 2
"""
# Each by the owner, who switches every rule off; with the blocks that the audit names.
TAMPERED = [
    ("blocks 1", "DELETE FROM transactions WHERE id = '{first}'"),
    ("blocks 1", "UPDATE transactions SET seal = set_byte(seal, 3, get_byte(seal, 3) # 1) WHERE id = '{first}'"),
    ("blocks 2", "UPDATE transactions SET xact_id = {later} WHERE id = '{first}'"),
    ("blocks 0", "UPDATE transactions SET xact_id = NULL WHERE id = '{first}'"),
    ("blocks 1", FORGED),
    ("blocks 1", "UPDATE blocks SET digest = sha256('') WHERE number = 1"),
    ("blocks 1", "UPDATE blocks SET transactions = transactions - 1 WHERE number = 1"),
    ("blocks 1", "UPDATE blocks SET before_xact_id = before_xact_id + 1 WHERE number = 1"),
    ("blocks 2", "DELETE FROM blocks WHERE number = 1"),
    ("blocks 3", "UPDATE blocks SET number = 3 WHERE number = 2"),
    ("blocks 3", SKIPPING),
    ("blocks 1", "DELETE FROM blocks WHERE number = 0"),
]


@pytest.mark.parametrize(("row", "edit"), TAMPERED)
def test_a_block_that_does_not_hold_is_named(owner: Connection, row: str, edit: str) -> None:
    assert holes(owner) == []
    first = owner.scalar(text("SELECT id FROM transactions WHERE xact_id IS NOT NULL ORDER BY xact_id, id LIMIT 1"))
    later = owner.scalar(text("SELECT before_xact_id FROM blocks WHERE number = 1"))
    owner.execute(text("SET LOCAL session_replication_role = replica"))
    owner.exec_driver_sql(edit.format(first=first, later=later, other="01a10000-0000-7000-8000-000000000001"))
    assert row in holes(owner)
    owner.rollback()


def test_who_kept_a_head_sees_that_the_end_was_taken_away(owner: Connection, fresh: Settings) -> None:
    kept = db.chain.latest(owner)
    earlier = owner.execute(text("SELECT number, encode(head, 'hex') AS head FROM blocks WHERE number = 1")).one()
    owner.commit()
    heads = [Head(block=kept.block, head=kept.head), Head(block=1, head=earlier.head)]
    assert lost(fresh, heads) == []
    owner.execute(text("SET session_replication_role = replica"))
    owner.execute(text("DELETE FROM blocks WHERE number = 2"))
    owner.commit()
    assert holes(owner) == []
    assert lost(fresh, heads) == ["blocks 2"]
    assert lost(fresh, [Head(block=1, head="00" * 32)]) == ["blocks 1"]


def lost(config: Settings, heads: list[Head]) -> list[str]:
    found = dict(db.audit.verify(config.database_url, made.SEAL_KEY, heads=heads))
    return [one.row for one in found[db.audit.KEPT]]


def holes(tx: Connection) -> list[str]:
    return [row.row for row in tx.execute(text(db.chain.BROKEN))]
