"""Batches that another process makes: the same ones, from any place on, and nothing left of it at any end."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import imports.ahead
import imports.sample
from imports.ahead import ahead
from imports.batches import Batch, Maker
from imports.source import Source
from settings import Settings
from tests.sinks import until

ROOT = Path(__file__).parents[2]
ROWS = 7
CUSTOMERS = 4_000  # Of either file: what is made of it fills a pipe many times over, so that its maker has to wait.
PIPE_BYTES = 64 * 1_024  # On Linux (pipe(7)); what is made of a row is longer than the row.
BAD = b"W0,nobody,RWF,-1,2019-03-04T05:06:07Z\n"
SECONDS_MAX = 20.0
GONE = {"", "Z"}  # A zombie waits for whoever started it, and does nothing.
KILLED = """
import multiprocessing, os, sys
from pathlib import Path
import imports.ahead, settings
from imports.ahead import ahead
from imports.batches import Maker
from imports.source import Source
if __name__ == "__main__":
    imports.ahead.ALONE_BYTES = 0
    path = Path(sys.argv[1])
    with path.open("rb") as file:
        for batch in ahead(Maker(Source(path, file), settings.read(dict(os.environ)), 7)):
            print(multiprocessing.active_children()[0].pid, flush=True)
            sys.stdin.read()
"""


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file be a large one."""
    monkeypatch.setattr(imports.ahead, "ALONE_BYTES", 0)


@pytest.fixture(params=["customers", "wallets"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    imports.sample.write(tmp_path, CUSTOMERS, seed=7)
    found: Path = tmp_path / f"{request.param}.csv"
    with found.open("ab") as file:
        file.write(BAD)
    return found


@pytest.fixture
def batches(path: Path, configured: Settings) -> Iterator[Callable[[], Iterator[Batch]]]:
    with path.open("rb") as file:

        def again() -> Iterator[Batch]:
            file.seek(0)
            return ahead(Maker(Source(path, file), configured, ROWS))

        yield again


def kept(batch: Batch) -> tuple[object, ...]:
    """What is the same each time: sealing is not, nor is the time of posting."""
    people = [(one.id, one.legacy_id, one.national_id_index, one.created_at) for one in batch.customers]
    purses = [(one.id, one.row, one.opening and one.opening.movement) for one in batch.wallets]
    return people, purses, batch.rows, batch.rejected, batch.position, batch.row_number, batch.is_last


def state(pid: int | None) -> str:
    """Return the letter of proc(5), or nothing for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[2]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_another_process_makes_the_same_batches(
    path: Path, batches: Callable[[], Iterator[Batch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [kept(one) for one in batches()]
    monkeypatch.setattr(imports.ahead, "ALONE_BYTES", 0)
    size, there = path.stat().st_size, []
    for one in batches():
        assert size - one.position <= PIPE_BYTES or multiprocessing.active_children()
        there.append(kept(one))
    assert there == here
    assert (len(here) > CUSTOMERS / ROWS, multiprocessing.active_children()) == (True, [])


@pytest.mark.usefixtures("elsewhere")
def test_it_begins_where_the_file_stood(path: Path, configured: Settings) -> None:
    with path.open("rb") as file:
        first, *others = [kept(one) for one in ahead(Maker(Source(path, file), configured, ROWS))]
        file.seek(0)
        source = Source(path, file)
        *_, position, row_number, _ = first
        assert isinstance(position, int)
        assert isinstance(row_number, int)
        source.go_to(position, row_number)
        assert [kept(one) for one in ahead(Maker(source, configured, ROWS))] == others


@pytest.mark.usefixtures("elsewhere")
def test_nothing_is_left_of_it_when_the_reader_stops_early(batches: Callable[[], Iterator[Batch]]) -> None:
    found = batches()
    next(found)
    found.close()  # type: ignore[attr-defined] # it is a generator
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("elsewhere")
def test_its_death_is_an_error_and_not_the_end_of_the_file(batches: Callable[[], Iterator[Batch]]) -> None:
    found = batches()
    next(found)
    [process] = multiprocessing.active_children()
    os.kill(process.pid or 0, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="has ended: -9"):
        list(found)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc whether a process waits")
@pytest.mark.usefixtures("elsewhere")
def test_its_death_within_a_message_is_the_same_error(path: Path, configured: Settings) -> None:
    with path.open("rb") as file:
        found = ahead(Maker(Source(path, file), configured, CUSTOMERS // 2))  # Of which a pipe holds a tenth.
        next(found)
        [process] = multiprocessing.active_children()
        until(lambda: state(process.pid), "S".__eq__, SECONDS_MAX)
        os.kill(process.pid or 0, signal.SIGKILL)
        with pytest.raises(RuntimeError, match="has ended: -9"):
            list(found)


@pytest.mark.usefixtures("elsewhere")
def test_another_file_of_the_same_name_is_not_read(path: Path, configured: Settings) -> None:
    with path.open("rb") as file:
        found = ahead(Maker(Source(path, file), configured, ROWS))
        other = path.with_suffix(".new")
        other.write_bytes(path.read_bytes())
        other.replace(path)
        with pytest.raises(RuntimeError, match="has ended: 1"):
            list(found)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc whether a process runs")
def test_nothing_is_left_of_it_when_the_reader_is_killed(path: Path, configured: Settings) -> None:
    assert configured
    reader = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert reader.stdout is not None
    pid = int(reader.stdout.readline())
    assert state(pid) not in GONE
    reader.kill()
    reader.communicate()
    until(lambda: state(pid), GONE.__contains__, SECONDS_MAX)
