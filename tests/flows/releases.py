"""The releases whose migrations this one has, as trees of files: what stands in the project's history."""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = "migrations/versions"
ADDED = ("log", "--first-parent", "-m", "--no-renames", "--diff-filter=A", "--format=%H", "--", VERSIONS)


def newest(count: int) -> list[str]:
    """Return the newest commits that brought migrations, the oldest first: `count`, and the one before them.

    One whose migrations were renamed before anybody had them is no release.
    """
    here = {f"{VERSIONS}/{path.name}" for path in (ROOT / VERSIONS).glob("*.py")}
    found = [commit for commit in _git(*ADDED).decode().split() if _migrations(commit) <= here]
    assert len(found) > count, "the project's history is not here: git fetch --unshallow"
    return found[count::-1]


def unpack(commit: str, folder: Path) -> Path:
    """Put a release's files into a new folder below `folder`."""
    tree = folder / commit
    with tarfile.open(fileobj=BytesIO(_git("archive", commit))) as archive:
        archive.extractall(tree, filter="data")
    return tree


def _migrations(commit: str) -> set[str]:
    listed = _git("ls-tree", "--name-only", commit, f"{VERSIONS}/").decode().split()
    return {name for name in listed if name.endswith(".py")}


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout  # noqa: S607 - git from PATH
