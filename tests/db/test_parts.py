"""A table that is read in parts by processes is read as a whole, and on the snapshot of who asks."""

from uuid import UUID

import pytest
from sqlalchemy import Connection, create_engine, text

import db.ledger
import db.parts
from db.parts import Divisible, Part
from settings import Settings
from tests import databases, made


def test_processes_find_together_what_one_finds(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with databases.connected(fresh.database_url) as tx:
        transfers = [made.transfer_between_two(tx) for _ in range(4)]
        tx.commit()
        tx.execute(text("ANALYZE"))
        tx.commit()
    engine = create_engine(fresh.database_url, isolation_level="REPEATABLE READ")
    with engine.begin() as connection:
        assert broken(connection) == []
        edit(fresh, transfers)  # After the snapshot: it must not be seen.
        monkeypatch.setattr(db.parts, "ALONE_MAX", 0)
        assert broken(connection) == []
    with engine.begin() as connection:
        found = broken(connection)
        monkeypatch.undo()
        assert sorted(found) == sorted(broken(connection))
        assert set(found) >= {f"transactions {one}" for one in transfers}
    engine.dispose()


def test_parts_are_of_about_as_many_rows_but_an_id_is_in_one(tx: Connection) -> None:
    tx.execute(text("CREATE TEMPORARY TABLE of_wallets (wallet_id uuid)"))
    assert db.parts.divide(tx, OF_WALLETS, 100, 4) == [Part()]
    few, busy = ("lpad(to_hex(number), 32, '0')", f"'{BUSY}'")
    for ids, rows in ((few, 40), (busy, 60)):
        statement = f"INSERT INTO of_wallets SELECT CAST({ids} AS uuid) FROM generate_series(1, {rows}) AS number"  # noqa: S608 - constants
        tx.execute(text(statement))
    divided = db.parts.divide(tx, OF_WALLETS, 100, 4)
    assert [rows_of(tx, one) for one in divided] == [24, 16, 60]
    assert db.parts.divide(tx, OF_WALLETS, 0, 1) == [Part()]


def test_a_sample_is_enough(tx: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 20_000
    monkeypatch.setattr(db.parts, "SAMPLE_ROWS", rows // 5)
    tx.execute(text("CREATE TEMPORARY TABLE of_wallets (wallet_id uuid)"))
    tx.execute(text(f"INSERT INTO of_wallets SELECT gen_random_uuid() FROM generate_series(1, {rows})"))  # noqa: S608 - a constant
    divided = [rows_of(tx, one) for one in db.parts.divide(tx, OF_WALLETS, rows, 2)]
    assert len(divided) == 2
    assert sum(divided) == rows
    assert min(divided) > rows / 3


OF_WALLETS = Divisible("of_wallets", by="wallet_id")
BUSY = "ffffffff-0000-0000-0000-000000000000"


def rows_of(tx: Connection, part: Part) -> int:
    bounds = "wallet_id >= CAST(:start AS uuid) AND (CAST(:end AS uuid) IS NULL OR wallet_id < CAST(:end AS uuid))"
    statement = text(f"SELECT count(*) FROM of_wallets WHERE {bounds}")  # noqa: S608 - a constant
    return int(tx.scalar(statement, {"start": part.start, "end": part.end}) or 0)


def broken(connection: Connection) -> list[str]:
    return [one.row for one in db.ledger.broken(connection, made.SEAL_KEY, 100)]


def edit(config: Settings, transfers: list[UUID]) -> None:
    with databases.connected(config.database_url) as tx:
        tx.execute(text("SET session_replication_role = replica"))
        tx.execute(text("UPDATE transactions SET amount = amount + 1 WHERE id = ANY(:ids)"), {"ids": transfers})
        tx.execute(text("UPDATE entries SET balance_after = balance_after + 1 WHERE sequence = 1"))
        tx.commit()
