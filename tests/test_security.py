"""The page about security names tests that are there: for whatever somebody may try, and for each of OWASP's ten."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`")
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
ROW = re.compile(r"^\| (API\d+) .*$", re.MULTILINE)


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_each_test_that_is_named_is_there() -> None:
    named = TEST.findall(PAGE)
    assert len(named) > 30
    assert [(file, name) for file, name in named if not (ROOT / file).exists() or name not in functions(file)] == []


def test_each_of_the_ten_has_its_row_and_each_row_its_test() -> None:
    rows = {row[1]: row[0] for row in ROW.finditer(PAGE)}
    assert list(rows) == [f"API{number}" for number in range(1, 11)]
    assert [name for name, row in rows.items() if not TEST.search(row)] == []


def test_each_line_of_the_tables_of_tests_names_one() -> None:
    tables = [table for table in TABLE.findall(PAGE) if table.partition("\n")[0].endswith("| tests |")]
    lines = [line for table in tables for line in table.splitlines()[2:]]
    assert len(tables) == 3
    assert [line for line in lines if not TEST.search(line)] == []


def test_each_actor_has_what_they_may_try_and_nobody_else_does() -> None:
    actors, tries = (
        {
            line.split(" | ")[0].removeprefix("| ")
            for table in TABLE.findall(PAGE)
            for line in table.splitlines()[2:]
            if table.startswith(head)
        }
        for head in ("| actor |", "| who |")
    )
    assert len(actors) > 5
    assert tries == actors


def test_what_looks_like_a_test_is_one() -> None:
    assert len(re.findall(r"::", PAGE)) == len(TEST.findall(PAGE))
