"""What `make secrets` finds: a secret that is planted, wherever it is and whenever it was."""

import base64
import os
import random
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "deploy" / "leaks.sh"
CONFIG = ROOT / ".gitleaks.toml"
SECONDS_MAX = 60.0
IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
RANDOM = random.Random(20261126)  # noqa: S311 - the same in each run, and secrets of nothing


def in_hex(count: int) -> str:
    return RANDOM.randbytes(count).hex()


def in_base64(count: int) -> str:
    return base64.b64encode(RANDOM.randbytes(count)).decode()


def in_url(count: int) -> str:
    return base64.urlsafe_b64encode(RANDOM.randbytes(count)).decode().rstrip("=")


# Made here, so that none of them is in a file of ours.
PLANTED = {
    "tekana-api-key": f'headers = {{"Authorization": "Bearer tk_{in_url(32)}"}}',
    "webhook-secret": f"verify(body, 'whsec_{in_base64(32)}')",
    "sealing-key": f"PII_KEYS=k1:{in_base64(32)}",
    "made-secret": f"SEAL_KEY={in_hex(32)}",
    "password-in-url": f"DATABASE_URL=postgresql+psycopg://tekana_api:{in_hex(24)}@db/tekana",
    "generic-api-key": f'API_SECRET = "{in_url(30)}"',
    "private-key": f"-----BEGIN PRIVATE KEY-----\n{in_base64(96)}\n-----END PRIVATE KEY-----",
    "jwt": f"token = eyJhbGciOiJIUzI1NiJ9.eyJ{in_url(60)}.{in_url(32)}",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with one commit."""
    shutil.copy(CONFIG, tmp_path)
    (tmp_path / ".gitignore").write_text(".env\n", encoding="ascii")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def git(repository: Path, *arguments: str) -> None:
    command = ["git", *IDENTITY, *arguments]
    subprocess.run(command, cwd=repository, check=True, capture_output=True, timeout=SECONDS_MAX)


def commit(repository: Path) -> None:
    git(repository, "add", "--all", "--force")
    git(repository, "commit", "--quiet", "--message", "A change")


def searched(repository: Path) -> tuple[int, str]:
    """Return how the search ended, and what it said."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    assert shutil.which("gitleaks", path=path), "gitleaks is missing: `make secrets` builds it, with Go"
    done = subprocess.run(
        ["/bin/sh", SCRIPT],
        env=os.environ | {"PATH": path},
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def committed(repository: Path, text: str) -> None:
    (repository / "notes.md").write_text(text, encoding="ascii")
    commit(repository)


def taken_back(repository: Path, text: str) -> None:
    committed(repository, text)
    committed(repository, "Nothing to see.\n")


def forced(repository: Path, text: str) -> None:
    (repository / ".env").write_text(text, encoding="ascii")
    commit(repository)


def written_anew(repository: Path, text: str) -> None:
    (repository / "notes.md").write_text(text, encoding="ascii")


def changed(repository: Path, text: str) -> None:
    committed(repository, "Nothing to see.\n")
    (repository / "notes.md").write_text(text, encoding="ascii")


def staged(repository: Path, text: str) -> None:
    changed(repository, text)
    git(repository, "add", "notes.md")


def unpacked(repository: Path, text: str) -> None:
    (repository / "notes.md").write_text(text, encoding="ascii")
    shutil.rmtree(repository / ".git")


@pytest.mark.parametrize("plant", [committed, taken_back, forced, written_anew, changed, staged, unpacked])
def test_a_secret_is_found_wherever_it_is(repository: Path, plant: Callable[[Path, str], None]) -> None:
    plant(repository, PLANTED["made-secret"] + "\n")
    status, said = searched(repository)
    assert (status, "made-secret" in said) == (1, True), said
    assert PLANTED["made-secret"].partition("=")[2] not in said


@pytest.mark.parametrize("rule", PLANTED)
def test_a_secret_of_each_kind_is_found(repository: Path, rule: str) -> None:
    written_anew(repository, f"{PLANTED[rule]}  # gitleaks:allow\n")
    status, said = searched(repository)
    assert (status, re.search(rf"RuleID: +{rule}\n", said) is not None) == (1, True), said


def test_the_secrets_of_an_environment_as_we_make_it_are_all_found(repository: Path) -> None:
    made = subprocess.run(
        ["/bin/sh", ROOT / "deploy" / "environment.sh"], capture_output=True, text=True, check=True
    ).stdout
    written_anew(repository, made)
    secret = [line for line in made.splitlines() if re.match(r"[A-Z_]+_(KEYS?|PASSWORD)=", line)]
    _, said = searched(repository)
    found = set(re.findall(r"^Line: +(\d+)$", said, re.MULTILINE))
    assert len(secret) > 8
    assert found == {str(1 + made.splitlines().index(line)) for line in secret}


def test_what_git_does_not_keep_and_what_is_no_secret_are_let_pass(repository: Path) -> None:
    (repository / ".env").write_text(PLANTED["made-secret"], encoding="ascii")
    written_anew(repository, "TOKEN_KEY=<64 hex digits>\nREDIS_URL=redis://:password@host/0\n")
    assert searched(repository)[0] == 0
    shutil.rmtree(repository / ".git")
    assert searched(repository)[0] == 0


def test_what_is_let_pass_is_named_by_its_value_and_has_its_reason() -> None:
    """A list with paths would let whatever else is in those files pass, too."""
    lists = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["allowlists"]
    assert lists
    assert [one for one in lists if set(one) != {"description", "regexes"} or len(one["description"]) < 20] == []
    values = [value for one in lists for value in one["regexes"]]
    assert [value for value in values if not re.fullmatch(r"\^[^.*]{8,}\$", value)] == []
