"""A source that somebody writes into while it is read."""

from io import BufferedReader
from pathlib import Path

import pytest
from sqlalchemy import text

import imports.ahead
import imports.batches
import imports.files
import imports.sample
from db.engine import transaction
from imports.calls import Call, run
from imports.source import Unreadable, digest
from imports.summaries import Summary
from imports.verifying import verify
from settings import Settings

CUSTOMERS = 12


class Writer:
    """Writes another content into the file, as `cp` does, once the first batch is settled."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content, self.batches = path, content, 0

    def __call__(self, _bytes: int, rows: int) -> None:
        self.batches += rows > 0
        if self.batches == 1 and rows:
            self.path.write_bytes(self.content)


def imported(path: Path, config: Settings, report: Writer | None = None) -> Summary:
    return run(Call(paths=[path], batch_rows=4), config, report or (lambda _bytes, _rows: None))


@pytest.fixture(params=[imports.ahead.ALONE_BYTES, 0], ids=["read by this process", "read by another"])
def path(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(imports.ahead, "ALONE_BYTES", request.param)
    imports.sample.write(tmp_path, CUSTOMERS, seed=1)
    return tmp_path / "customers.csv"


@pytest.mark.parametrize("share", [0, 0.6, 1.0], ids=["emptied", "cut", "the same size"])
def test_who_writes_into_a_source_stops_its_import_and_it_goes_on_with_the_file_as_it_was(
    fresh: Settings, path: Path, share: float
) -> None:
    content = path.read_bytes()
    with pytest.raises(Unreadable, match="wrote into it while it was read"):
        imported(path, fresh, Writer(path, content[: int(len(content) * share)]))
    with transaction(fresh.database_url) as tx:
        assert tx.scalar(text("SELECT finished_at FROM imports")) is None
        assert tx.scalar(text("SELECT count(*) FROM customers")) == 4
    path.write_bytes(content)
    assert imported(path, fresh).files[0].imported == CUSTOMERS


def test_a_comparison_with_a_source_that_changes_is_none(fresh: Settings, path: Path) -> None:
    imports.sample.write(path.parent, imports.batches.ROWS + 1, seed=1)
    with pytest.raises(Unreadable, match="wrote into it while it was read"):
        list(verify([path], fresh, Writer(path, b"")))


def test_a_source_that_is_written_into_before_it_is_known_is_not_begun(
    fresh: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(file: BufferedReader) -> bytes:
        found = digest(file)
        path.write_bytes(path.read_bytes() + b"\n")
        return found

    monkeypatch.setattr(imports.files, "digest", written)
    with pytest.raises(Unreadable):
        imported(path, fresh)
    with transaction(fresh.database_url) as tx:
        assert tx.scalar(text("SELECT count(*) FROM imports")) == 0
