"""A table that is read in parts by processes is read as a whole, and on the snapshot of who asks."""

from uuid import UUID

import pytest
from sqlalchemy import Connection, create_engine, text

import db.ledger
import db.parts
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


def broken(connection: Connection) -> list[str]:
    return [one.row for one in db.ledger.broken(connection, made.SEAL_KEY, 100)]


def edit(config: Settings, transfers: list[UUID]) -> None:
    with databases.connected(config.database_url) as tx:
        tx.execute(text("SET session_replication_role = replica"))
        tx.execute(text("UPDATE transactions SET amount = amount + 1 WHERE id = ANY(:ids)"), {"ids": transfers})
        tx.execute(text("UPDATE entries SET balance_after = balance_after + 1 WHERE sequence = 1"))
        tx.commit()
