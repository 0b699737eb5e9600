"""What `make operations` says when a package is missing, and how it counts."""

from pathlib import Path

import pytest

from tests.operations.figures import Operation, table, write
from tests.operations.packages import PackageMissing, program


def test_a_program_that_is_not_installed_is_named_with_its_package() -> None:
    with pytest.raises(PackageMissing, match=r"nothing-like-it is not here: apt-get install .* its-package"):
        program("nothing-like-it", package="its-package")


def test_a_program_of_the_system_is_found() -> None:
    assert program("sh", package="dash").is_file()


def operation(name: str, seconds: float, meaning: str = "the wait") -> Operation:
    return Operation(name=name, jobs=1_000, lost=0, doubled=0, seconds=seconds, meaning=meaning)


def test_trials_of_one_operation_are_one_line_with_sums_and_the_middle_and_longest_time(tmp_path: Path) -> None:
    operations = [operation("kill", 3), operation("restore", 9), operation("kill", 1), operation("kill", 2)]
    assert table(operations).splitlines()[2:] == [
        "| kill | 3 | 3,000 | 0 | 0 | 2.0 | 3.0 | the wait |",
        "| restore | 1 | 1,000 | 0 | 0 | 9.0 | 9.0 | the wait |",
    ]
    write(tmp_path / "page.md", operations)
    assert (tmp_path / "page.md").read_text(encoding="utf-8").endswith(table(operations))


def test_two_times_of_one_operation_are_two_lines() -> None:
    lines = table([operation("restore", 1, "the restore"), operation("restore", 2, "the audit")]).splitlines()[2:]
    assert [line.rsplit("|", 2)[1].strip() for line in lines] == ["the restore", "the audit"]
