"""What is archived is whole, and never replaced; `make operations` tries the scripts around it."""

import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "deploy" / "backup"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


def keep(archive: Path, source: Path, name: str = "000000010000000000000001") -> int:
    """Run the script as PostgreSQL does; return its exit status, by which PostgreSQL goes."""
    command = [str(SCRIPTS / "archive-wal.sh"), str(source), name, str(archive)]
    return subprocess.run(command, capture_output=True, check=False).returncode


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_piece_is_kept_whole_under_its_name(archive: Path, tmp_path: Path) -> None:
    piece = written(tmp_path / "piece", b"log" * 100_000)
    assert keep(archive, piece) == 0
    assert (archive / "000000010000000000000001").read_bytes() == piece.read_bytes()
    assert names(archive) == ["000000010000000000000001"]


def test_a_piece_that_comes_again_is_well(archive: Path, tmp_path: Path) -> None:
    piece = written(tmp_path / "piece", b"log")
    assert [keep(archive, piece), keep(archive, piece)] == [0, 0]


def test_another_piece_of_the_same_name_is_refused_and_the_first_one_stays(archive: Path, tmp_path: Path) -> None:
    assert keep(archive, written(tmp_path / "one", b"one")) == 0
    assert keep(archive, written(tmp_path / "two", b"two")) != 0
    assert (archive / "000000010000000000000001").read_bytes() == b"one"


def test_what_cannot_be_kept_leaves_nothing_that_looks_kept(archive: Path, tmp_path: Path) -> None:
    assert keep(archive, tmp_path / "gone") != 0
    assert keep(archive / "gone", written(tmp_path / "piece", b"log")) != 0
    assert names(archive) == []


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_every_script_is_shell_and_stops_at_the_first_failure(script: Path) -> None:
    assert subprocess.run(["/bin/bash", "-n", str(script)], check=False).returncode == 0
    assert script.name == "server.sh" or "\nset -euo pipefail\n" in script.read_text(encoding="utf-8")
