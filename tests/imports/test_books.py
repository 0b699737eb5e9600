"""An import beside what else happens at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from uuid_utils.compat import uuid7

import db.customers
import imports.sample
from db.imports import Overtaken, Progress
from domain.imports import FileKind, Problem
from imports.batches import Batch
from imports.books import Books
from imports.calls import Call, run
from imports.rejects import Rejected, Rejects
from imports.source import digest
from settings import Settings
from tests import databases, made


def test_a_registration_that_takes_an_address_meanwhile_comes_first(fresh: Settings, tmp_path: Path) -> None:
    imports.sample.write(tmp_path, 5, seed=1)
    path = tmp_path / "customers.csv"
    [email] = [line.split(",")[2] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("C3,")]
    with databases.connected(fresh.database_url) as other, ThreadPoolExecutor() as threads:
        db.customers.insert(other, {uuid7(): made.registration(email=email)})
        importing = threads.submit(run, Call(paths=[path]), fresh, lambda _bytes, _rows: None)
        with databases.connected(fresh.database_url) as watcher:
            databases.wait_until_blocked(watcher, importing)
        other.commit()
        summary = importing.result()
    assert (summary.files[0].imported, summary.rejected) == (4, 1)
    assert "4,C3,email" in Path(str(summary.files[0].rejects)).read_text(encoding="utf-8")


def test_who_is_overtaken_writes_no_rejects(fresh: Settings, tmp_path: Path) -> None:
    imports.sample.write(tmp_path, 5, seed=1)
    path, books = tmp_path / "customers.csv", Books(fresh, batch_rows=5)
    run(Call(paths=[path]), fresh, lambda _bytes, _rows: None)
    with path.open("rb") as file:
        done = books.begin(digest(file), FileKind.CUSTOMERS, path.name)
    problem = Rejected(row_number=2, legacy_id="C1", problems=[Problem("email", "belongs to an earlier customer")])
    batch = Batch(posted_at=datetime.now(UTC), rejected=[problem], position=100, row_number=2)
    with Rejects(tmp_path / "late.csv") as rejects:
        with pytest.raises(Overtaken):
            books.settle(replace(done, progress=Progress()), batch, rejects)
        assert rejects.path.read_bytes() == b""
