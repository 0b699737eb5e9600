"""Pid files, and what a supervisor that was killed may have left running.

`NAME.pid` holds nothing but the pid, for whoever wants to signal the child. `NAME.argv` beside it says what
that pid was, so that a stranger who got the same number later is never taken for ours.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from local.kept import write_atomically

STOP_SECONDS_MAX = 10.0  # They have been told already, by the death of their parent (on Linux).
LOOK_SECONDS = 0.05


def pid_file(run_dir: Path, name: str) -> Path:
    return run_dir / f"{name}.pid"


def remember(run_dir: Path, name: str, pid: int, argv: Sequence[str]) -> None:
    write_atomically(_argv_file(run_dir, name), " ".join(argv).encode())
    write_atomically(pid_file(run_dir, name), f"{pid}\n".encode())


def forget(run_dir: Path, name: str) -> None:
    pid_file(run_dir, name).unlink(missing_ok=True)
    _argv_file(run_dir, name).unlink(missing_ok=True)


def stop_all(run_dir: Path, signals: dict[str, int]) -> list[str]:
    """Stop what an earlier supervisor left running; return the names.

    `signals` gives the stop signal by name where it is not SIGTERM.
    """
    found = {path.stem: pid for path in run_dir.glob("*.pid") if (pid := _left_running(path))}
    for name, pid in found.items():
        _signal(pid, signals.get(name, signal.SIGTERM))
    for pid in found.values():
        _wait_gone(pid)
    for path in run_dir.glob("*.pid"):
        forget(run_dir, path.stem)
    return sorted(found)


def _left_running(path: Path) -> int:
    """Return the pid in the file if it is still the process that the file was written for, or 0."""
    argv_file = _argv_file(path.parent, path.stem)
    with contextlib.suppress(OSError, ValueError):
        pid = int(path.read_text(encoding="ascii"))
        if command(pid) == argv_file.read_text(encoding="utf-8"):
            return pid
    return 0


def command(pid: int) -> str:
    """Return the command line; empty when there is no such process or only its exit status is left."""
    if Path("/proc/self").exists():
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            return b" ".join(words).decode(errors="replace")
        return ""
    ps = ["ps", "-ww", "-p", str(pid), "-o", "command="]
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout.strip()


def _wait_gone(pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while command(pid) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def _argv_file(run_dir: Path, name: str) -> Path:
    return run_dir / f"{name}.argv"
