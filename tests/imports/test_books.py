"""An import beside what else happens at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from uuid_utils.compat import uuid7

import db.customers
import imports.sample
from imports.calls import Call, run
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
