import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

STEADY_SECONDS = 5.0  # Who lived this long did not die of its start: it is restarted at once.
DELAY_SECONDS_MIN = 0.1
DELAY_SECONDS_MAX = 1.5  # Doubled up to here with each early death: 2 s with the tick and the start.
LOG_BYTES_MAX = 10_000_000  # Per log, looked at when its child starts; the one before is kept as `.1`.
LAUNCHER = Path(__file__).with_name("launch.py")


class Child(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # Also the name of its pid file and its log.
    argv: tuple[str, ...]  # Starts with an absolute path.
    env: dict[str, str]
    cwd: Path
    stage: int  # Stages stop one after the other, the highest first; within a stage all at once.
    stop_signal: int = signal.SIGTERM
    kill_after_seconds: float = 10.0  # After this long it did not listen.
    account: str = ""  # Runs as this user; empty: as ours.


class Life:
    """What has become of a child: its process, its deaths, when it is due again."""

    def __init__(self, child: Child, log_path: Path) -> None:
        self.child = child
        self.log_path = log_path
        self.process: subprocess.Popen[bytes] | None = None
        self.early_deaths = 0  # In a row.
        self._started_at = 0.0
        self._due_at = 0.0

    @property
    def is_due(self) -> bool:
        return self.process is None and time.monotonic() >= self._due_at

    def start(self) -> int:
        """Start the child and return its pid.

        Raises:
            OSError: there is no memory, no disk or no such folder; it is due again later.

        """
        self._due_at = time.monotonic() + DELAY_SECONDS_MAX  # Unless it starts.
        with _open_log(self.log_path) as log:
            self.process = subprocess.Popen(
                self._launch_argv(),
                env=self.child.env,
                cwd=self.child.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours to hear, and to pass on in order.
            )
        self._started_at = time.monotonic()
        return self.process.pid

    def bury(self) -> str:
        """Return how the child ended, if it did since the last look; otherwise nothing."""
        if self.process is None or self.process.poll() is None:
            return ""
        kill_group(self.process.pid)  # A dead server's own children would keep its port and its locks.
        returncode = self.process.returncode
        self.process = None
        # SIGKILL is somebody else's doing (an operator, a test, the kernel short of memory), not a bad start.
        is_early = time.monotonic() - self._started_at < STEADY_SECONDS
        self._postpone(is_early=is_early and returncode != -signal.SIGKILL)
        return f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.child.stop_signal)

    def wait_stopped(self) -> None:
        """Wait for the end of a child that was asked to stop, or bring it about."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(self.child.kill_after_seconds)
        kill_group(self.process.pid)
        self.process.wait()
        self.process = None

    def _postpone(self, *, is_early: bool) -> None:
        self.early_deaths = self.early_deaths + 1 if is_early else 0
        self._due_at = time.monotonic() + _delay_seconds(self.early_deaths)

    def _launch_argv(self) -> list[str]:
        ours = (str(os.getpid()), str(int(self.child.stop_signal)), self.child.account)
        return [sys.executable, "-I", "-S", str(LAUNCHER), *ours, *self.child.argv]


def kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _delay_seconds(early_deaths: int) -> float:
    """Return 0 after a steady life and after a single early death, then a doubling delay."""
    if early_deaths <= 1:
        return 0.0
    doublings = min(early_deaths - 2, 10)  # 2^10 is far past the cap.
    return min(DELAY_SECONDS_MAX, DELAY_SECONDS_MIN * 2.0**doublings)


def _open_log(path: Path) -> io.BufferedWriter:
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    path.touch(mode=0o600)  # A log may say more than others should read,
    path.chmod(0o600)  # also one that an earlier version left.
    return path.open("ab")
