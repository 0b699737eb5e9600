"""The page of the faults cannot go stale: rows are tests, figures the kept ones, what it points at is there."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.flows.books import Trial
from tests.flows.elsewhere import ELSEWHERE
from tests.flows.figures import KEPT, Result, merge, page, read, results, table
from tests.flows.trials import ROWS, cases, slug

ROOT = Path(__file__).parents[2]
ROW = "the API is killed"

# Trials as they can end; all others are as they should be.
TRIALS = """
from tests.flows.books import Trial

def fall():
    raise AssertionError("the world's end")

def test_no_job_is_lost_or_doubled_or_late_when(trial, recorder, request):
    assert trial.row != "Redis is killed", "before there are figures"
    recorder(Trial(fault=trial.row, jobs=7))
    if trial.row == "PostgreSQL is killed":
        request.addfinalizer(fall)
    assert trial.row != "the API is killed", "a promise"
"""
BESIDE_A_LOG = """
from contextlib import closing
from types import SimpleNamespace

import pytest

from tests.flows.world import World

LOG = (
    "2026-11-27T21:45:38Z [info     ] request                        method=POST status=500\\n"
    "2026-11-27T21:45:39Z [error    ] request failed                 route=/v1/transfers\\n"
    "ValueError: the reason\\n"
)

@pytest.fixture
def world(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "api.log").write_text(LOG)
    stack = SimpleNamespace(data_dir=tmp_path, api_url="", database_url="postgresql+psycopg://")
    with closing(World(stack)) as world:
        yield world

def test_no_job_is_lost_or_doubled_or_late_when(trial, world):
    assert trial.row != "the API is killed"
"""
ANOTHER_TEST = """
def test_something_else(request):
    request.addfinalizer(fall)
"""


def trial(row: str = ROW, **changes: Any) -> Trial:
    return msgspec.structs.replace(Trial(fault=row, jobs=100, interrupted=5, wait_seconds_max=1.0), **changes)


def tried(folder: Path, text: str) -> dict[str, Result]:
    """Return what is kept of a run of tests that are named as those of the faults are."""
    printed(folder, text)
    return read(folder / "kept.json")


def printed(folder: Path, text: str) -> str:
    (folder / "test_faults.py").write_text(text, encoding="utf-8")
    kept = str(folder / "kept.json")
    env = os.environ | {"FAULTS_KEPT": kept, "FAULTS": "", "FAULT_TRIALS": "", "PYTHONPATH": str(ROOT)}
    pytest_here = [sys.executable, "-m", "pytest", "-p", "tests.flows.conftest", "-p", "no:cacheprovider", "."]
    return subprocess.run(pytest_here, cwd=folder, env=env, check=False, capture_output=True, text=True).stdout


def recording() -> Iterator[str]:
    """Find the tests that keep figures."""
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and _keeps_figures(node):
                yield f"{path.name}::{node.name}"


def _keeps_figures(test: ast.FunctionDef) -> bool:
    return "recorder" in {argument.arg for argument in test.args.args}


def test_each_row_names_a_test_and_each_fault_test_has_a_row() -> None:
    assert {row.test for row in ROWS.values()} == set(recording())


def test_no_two_rows_are_chosen_by_the_same_word() -> None:
    assert len({slug(name) for name in ROWS}) == len(ROWS)


def test_the_page_says_what_was_kept() -> None:
    assert (ROOT / "docs/reliability.md").read_text(encoding="utf-8") == page(read()), "run `make docs`"


def test_what_was_kept_are_figures_of_rows() -> None:
    assert set(read(KEPT)) <= set(ROWS)


@pytest.mark.parametrize("test", sorted({test for tests in ELSEWHERE.values() for test in tests}))
def test_what_is_shown_elsewhere_is_there(test: str) -> None:
    assert (ROOT / test).is_file()


def test_the_full_set_has_the_trials_that_are_promised() -> None:
    promised = {
        "the worker is killed": 300,
        "the worker's pool child is killed": 200,
        "the API is killed": 200,
        "Redis is killed": 50,
        "Redis is killed and wiped": 50,
        "Redis is flushed": 20,
        "Redis is frozen": 20,
        "Redis's connections are killed": 20,
        "Redis stays down for ten minutes": 3,
        "PostgreSQL is killed": 50,
        "PostgreSQL is frozen": 20,
        "PostgreSQL's sessions are terminated, five times": 100,  # 500 in all.
        "everything is killed": 30,
        "each process is stopped in turn": 50,
        "64 clients spend the same money": 200,
        "64 clients use one key at once": 1_000,
        "32 clients pay across four wallets": 100_000,
        "rings are repeated, shuffled, bogus, malformed, pickled, huge": 50_000,
        "random movements, against a model": 2_000,
    }
    assert {name: ROWS[name].full for name in promised} == promised


def test_every_test_of_a_row_gets_its_trials() -> None:
    tried = [case.row for row in ROWS.values() for case in cases(row.test)]
    assert {name for name, row in ROWS.items() if row.trials} == set(tried)


def test_a_line_tells_the_sums_and_the_rule_of_three() -> None:
    trials = [trial(wait_seconds_max=seconds) for seconds in range(1, 201)]
    assert table(trials).splitlines()[-1] == (
        f"| {ROW} | 200 | 20,000 | 1,000 | 0 | 0 | 0 | 101.0 s | 199.0 s | 200.0 s | < 1.50% |"
    )


@pytest.mark.parametrize("changes", [{"lost": 1}, {"doubled": 1}, {"failed": 1}])
def test_no_bound_is_claimed_after_a_failure(changes: dict[str, Any]) -> None:
    assert table([trial()] * 199 + [trial(**changes)]).splitlines()[-1].endswith("|  |")


@pytest.mark.parametrize(("missed", "bound"), [(100, "< 1.50%"), (101, "")])
def test_no_bound_is_claimed_when_most_strikes_met_nothing(missed: int, bound: str) -> None:
    trials = [trial(missed=int(place < missed)) for place in range(200)]
    assert table(trials).splitlines()[-1].endswith(f"| {bound} |")


def test_a_line_tells_how_many_trials_failed_and_has_no_recovery_of_those_without_figures() -> None:
    trials = [trial(), trial(failed=1), Trial(fault=ROW, failed=1)]
    assert table(trials).splitlines()[-1] == (f"| {ROW} | 3 of 200 | 200 | 10 | 0 | 0 | 2 | 1.0 s | 1.0 s | 1.0 s |  |")


def test_a_trial_has_failed_if_its_test_did(tmp_path: Path) -> None:
    """Whatever it was that broke, with figures or before there were any."""
    found = tried(tmp_path, TRIALS)
    assert {row: (one.jobs, one.failed) for row, one in found.items() if not one.is_clean} == {
        "the API is killed": (7, 1),
        "Redis is killed": (0, 1),
        "PostgreSQL is killed": (7, 1),
    }
    assert len(found) == len(cases(ROWS[ROW].test))


def test_nothing_is_kept_of_a_run_in_which_a_world_ended_badly_after_its_last_trial(tmp_path: Path) -> None:
    assert tried(tmp_path, TRIALS + ANOTHER_TEST) == {}


def test_a_trial_that_fails_shows_what_the_api_said_beside_its_answers(tmp_path: Path) -> None:
    said = printed(tmp_path, BESIDE_A_LOG)
    assert said.count("request failed                 route=/v1/transfers\nValueError: the reason") == 1
    assert "method=POST" not in said


@pytest.mark.parametrize(
    ("kept", "tried", "bad", "result"),
    [
        (None, 3, {}, 3),
        (3, 3, {}, 3),
        (3, 10, {}, 10),
        (10, 3, {}, 10),
        (10, 3, {"lost": 1}, 3),
        (10, 3, {"failed": 1}, 3),
        (500, 200, {}, 200),
    ],
)
def test_a_row_keeps_its_figures_until_it_is_tried_as_often_again(
    kept: int | None, tried: int, bad: dict[str, Any], *, result: int, tmp_path: Path
) -> None:
    path = tmp_path / "kept.json"
    if kept:
        merge(path, [trial(trials=kept)])
        others: dict[str, Result] = results([trial("Redis is killed")])
        path.write_bytes(msgspec.json.encode(read(path) | others))
    merge(path, [trial(trials=tried, **bad)])
    assert read(path)[ROW].trials == result
    assert ("Redis is killed" in read(path)) == bool(kept)
