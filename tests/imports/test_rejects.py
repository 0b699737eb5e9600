"""The reject file: written behind what was committed, by one process, and never believed to be somewhere else."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from domain.imports import Problem
from imports.rejects import Rejected, Rejects
from imports.source import Unreadable

HEAD = "row,legacy_id,field,rule\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "customers.rejects.csv"


def rejected(row_number: int) -> Rejected:
    return Rejected(row_number=row_number, legacy_id="C", problems=[Problem("phone", "is none")])


def line(row_number: int) -> str:
    return f"{row_number},C,phone,is none\n"


def test_what_was_not_committed_is_cut_off_and_comes_again(path: Path) -> None:
    with Rejects(path) as rejects:
        committed = rejects.write([rejected(2)], 0)
        rejects.write([rejected(3)], committed)
    with Rejects(path) as rejects:
        assert rejects.write([rejected(4)], committed) == len(HEAD + line(2) + line(4))
    assert path.read_text(encoding="utf-8") == HEAD + line(2) + line(4)


def test_without_rejects_there_is_no_file(path: Path) -> None:
    with Rejects(path) as rejects:
        assert rejects.write([], 0) == 0
    assert not path.exists()


def test_two_do_not_write_one_reject_file(path: Path) -> None:
    with Rejects(path), pytest.raises(Unreadable, match="another process writes"):
        Rejects(path)
    with Rejects(path) as rejects:
        assert rejects.write([rejected(2)], 0)


GONE: dict[str, Callable[[Path], object]] = {
    "moved away": lambda path: path.rename(path.with_name("mailed.csv")),
    "deleted": Path.unlink,
    "replaced": lambda path: Path(shutil.copy(path, path.with_name("edited.csv"))).replace(path),
    "cut": lambda path: path.write_text(HEAD, encoding="utf-8"),
    "edited, and longer": lambda path: path.write_text(HEAD.replace("\n", "\r\n") + line(2) * 3, encoding="utf-8"),
}


@pytest.mark.parametrize("name", GONE)
def test_rejects_that_are_not_there_any_more_stop_the_import(path: Path, name: str) -> None:
    with Rejects(path) as rejects:
        committed = rejects.write([rejected(2)], 0)
        GONE[name](path)
        with pytest.raises(Unreadable, match="are not there"):
            rejects.write([rejected(3)], committed)


def test_a_call_that_goes_on_wants_the_rejects_of_the_one_before(path: Path) -> None:
    with Rejects(path) as rejects:
        committed = rejects.write([rejected(2)], 0)
    path.unlink()
    with Rejects(path) as rejects, pytest.raises(Unreadable, match="put them back"):
        rejects.write([rejected(3)], committed)
    assert not path.exists()


def test_a_list_that_was_put_back_is_not_deleted(path: Path) -> None:
    with Rejects(path) as rejects:
        committed = rejects.write([rejected(2)], 0)
    kept = path.rename(path.with_name("kept.csv"))
    with Rejects(path) as rejects:
        kept.replace(path)
        with pytest.raises(Unreadable):
            rejects.write([rejected(3)], committed)
    assert path.read_text(encoding="utf-8") == HEAD + line(2)
