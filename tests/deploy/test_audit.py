"""What `make audit` says of locks: nothing is known, something is, or nobody answered."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "audit.sh"
NOWHERE = "http://127.0.0.1:1"  # Nobody listens there, who is root or not.
SECONDS_MAX = 60.0

# A twin that ends as pip-audit 2.10 does: with a table of what it found, or without one where it could not ask.
TOOL = """#!/bin/sh
echo "$@" >>"${0%/*}/asked"
case "$*" in
*vulnerable.lock*) echo "Found 1 known vulnerability in 1 package" >&2; echo "jinja2 2.0 CVE-2019-10906"; exit 1 ;;
*unknown.lock*) echo "ours: Dependency not found on PyPI and could not be audited" >&2; exit 1 ;;
*cut-off.lock*) echo "Traceback" >&2; echo "ConnectionError: no such host" >&2; exit 1 ;;
*) echo "No known vulnerabilities found" >&2 ;;
esac
"""


def audited(*locks: str, tool: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", SCRIPT, *locks],
        env={"PATH": "/usr/bin:/bin", "PIP_AUDIT": str(tool)} | env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "pip-audit"
    path.write_text(TOOL, encoding="ascii")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("locks", "status", "said"),
    [
        (("good.lock", "better.lock"), 0, ""),
        (("good.lock", "vulnerable.lock"), 1, "Vulnerable: vulnerable.lock"),
        (("unknown.lock", "good.lock"), 3, "Not audited, because pypi did not answer for all of it: unknown.lock"),
        (("cut-off.lock", "unknown.lock"), 3, "cut-off.lock: ConnectionError: no such host"),
        (("cut-off.lock", "vulnerable.lock"), 1, "did not answer for all of it: cut-off.lock"),
    ],
)
def test_vulnerable_and_not_audited_are_told_apart(tool: Path, locks: tuple[str, ...], status: int, said: str) -> None:
    done = audited(*locks, tool=tool)
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert ("CVE-2019-10906" in done.stdout) == ("vulnerable.lock" in locks)


def test_each_lock_is_asked_about_whatever_became_of_the_others(tool: Path) -> None:
    audited("cut-off.lock", "vulnerable.lock", "good.lock", tool=tool, AUDIT_SERVICE="osv")
    asked = (tool.parent / "asked").read_text(encoding="ascii").splitlines()
    assert [line.split()[-1] for line in asked] == ["cut-off.lock", "vulnerable.lock", "good.lock"]
    assert all("--strict" in line and "--vulnerability-service osv" in line for line in asked)


@pytest.mark.parametrize("service", ["pypi", "osv"])
def test_the_tool_itself_is_understood_where_no_service_is_reached(service: str, tmp_path: Path) -> None:
    real = Path(sys.executable).parent / "pip-audit"
    cache = {"HOME": str(tmp_path), "PIP_CACHE_DIR": str(tmp_path)}  # Earlier answers are in the other one.
    done = audited("requirements.lock", tool=real, AUDIT_SERVICE=service, https_proxy=NOWHERE, **cache)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"because {service} did not answer for all of it: requirements.lock" in done.stderr


def test_the_verb_asks_about_every_lock_that_is_installed() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\naudit: ")[2].partition("\n\n")[0]
    # What is in the plain one is in each of the others, too.
    locks = {path.name for path in ROOT.glob("requirements*.lock")} - {"requirements.lock"}
    assert {name for name in locks if name in recipe} == locks
