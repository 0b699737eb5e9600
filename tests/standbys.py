"""Streaming replicas of a stack's PostgreSQL: real servers, made by pg_basebackup."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from sqlalchemy import make_url

import local.child
from local import account, ports
from local.stack import Stack

START_SECONDS_MAX = 30.0
CATCH_UP_SECONDS_MAX = 15.0
LOOK_SECONDS = 0.02
SETTINGS = {"listen_addresses": ports.HOST, "unix_socket_directories": "", "hot_standby": "on"}


class Standby:
    """A replica that may be held back, stopped and started again."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.folder = folder
        self.port = ports.free()
        self._stack = stack
        self._bin = account.postgres_folder(stack.kept, lambda _: None)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, variable: str = "DATABASE_URL") -> str:
        """Return the stack's address of this name, at the replica."""
        return make_url(self._stack.env[variable]).set(port=self.port).render_as_string(hide_password=False)

    def copy(self) -> None:
        """Copy the primary, as it is now, to follow it from there."""
        user = account.account()
        self.folder.mkdir(mode=0o700)
        account.own(self.folder, user)
        primary = self._stack.database_url.replace("+psycopg", "")
        argv = [str(self._bin / "pg_basebackup"), "-D", str(self.folder), "-R", "-X", "stream", "-c", "fast"]
        account.run_as(user, [*argv, "--no-sync", "-d", primary], {"LC_ALL": "C"})

    def start(self) -> None:
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        launch = [sys.executable, "-I", "-S", str(local.child.LAUNCHER)]
        argv = [str(self._bin / "postgres"), "-D", str(self.folder), "-p", str(self.port), *settings]
        with (self.folder.parent / "standby.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*launch, str(os.getpid()), str(int(signal.SIGINT)), account.account(), *argv],
                env={"LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, START_SECONDS_MAX)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it in order, or with SIGKILL as a power cut does."""
        if self._process is not None:
            send = os.killpg if number is signal.SIGKILL else os.kill
            send(self._process.pid, number)
            self._process.wait(START_SECONDS_MAX)
            self._process = None

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def pause(self) -> None:
        """Let it receive the primary's commits and show none of them."""
        self.execute("SELECT pg_wal_replay_pause()")
        wait_until(lambda: self.execute("SELECT pg_get_wal_replay_pause_state()") == "paused", CATCH_UP_SECONDS_MAX)

    def resume(self) -> None:
        self.execute("SELECT pg_wal_replay_resume()")

    def catch_up(self) -> None:
        """Return when it shows all that the primary has committed."""
        with psycopg.connect(self._stack.database_url.replace("+psycopg", "")) as primary:
            [written] = primary.execute("SELECT pg_current_wal_insert_lsn()").fetchone() or [None]
        query = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
        wait_until(lambda: self.execute(query) is True, CATCH_UP_SECONDS_MAX)

    def promote(self) -> None:
        self.execute("SELECT pg_promote()")

    def execute(self, statement: str) -> object:
        """Run a statement as the owner; return the first value of its first row."""
        with psycopg.connect(self.url().replace("+psycopg", ""), autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
        return None if row is None else row[0]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder.parent / "standby.log").read_text(encoding="utf-8")
        with contextlib.suppress(psycopg.OperationalError):
            return self.execute("SELECT 1") == 1
        return False

    def _signal_all(self, number: signal.Signals) -> None:
        """PostgreSQL's children have groups of their own."""
        assert self._process is not None
        for pid in (self._process.pid, *children(self._process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@contextlib.contextmanager
def streaming(stack: Stack, folder: Path) -> Iterator[Standby]:
    """Make a replica of the stack's PostgreSQL below `folder`, and start it."""
    standby = Standby(stack, folder / f"standby-{ports.free()}")
    standby.copy()
    standby.start()
    try:
        yield standby
    finally:
        standby.stop(signal.SIGKILL)
        shutil.rmtree(standby.folder)


def children(parent: int) -> list[int]:
    """Return the processes that `parent` started and that still run."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)  # noqa: S607 - ps is wherever PATH says
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, its_parent in pairs if int(its_parent) == parent]


def wait_until(is_so: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "the replica does not come that far"
        time.sleep(LOOK_SECONDS)
