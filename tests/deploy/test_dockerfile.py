"""The image: on a base that can be pinned, unprivileged, with nothing inside that it does not need."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
BASE = "${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}}"


def test_every_stage_stands_on_the_base_that_a_digest_may_pin() -> None:
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert stages == [BASE, BASE]


def test_no_digest_is_made_up() -> None:
    assert re.search(r"sha256:[0-9a-f]", DOCKERFILE) is None


def test_the_user_is_a_number_that_is_not_roots() -> None:
    [user] = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert "0" not in user


@pytest.mark.parametrize("installs", re.findall(r"pip install ([^&\n]+)", DOCKERFILE))
def test_nothing_is_installed_but_by_hash_or_from_here(installs: str) -> None:
    assert "--require-hashes" in installs or "--no-deps --no-build-isolation --editable ." in installs


def test_what_goes_in_is_named_one_by_one() -> None:
    assert next(line for line in IGNORED if not line.startswith("#")) == "*"
    assert all(line.startswith(("#", "*", "!")) for line in IGNORED)


def test_all_that_the_project_is_made_of_goes_in() -> None:
    made_of = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = made_of["tool"]["setuptools"]["packages"]
    allowed = {line.removeprefix("!").rstrip("/") for line in IGNORED if line.startswith("!")}
    assert {*packages, "*.py", made_of["project"]["readme"], *made_of["project"]["license-files"]} <= allowed


def test_neither_tests_nor_secrets_nor_data_go_in() -> None:
    allowed = {line.removeprefix("!").rstrip("/") for line in IGNORED if line.startswith("!")}
    assert allowed & {"tests", "docs", "var", ".env", ".git", "deploy"} == set()
