"""Servers that stand beside a stack: supervised as it supervises its own, so that what is killed comes back."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from local.child import Child
from local.supervisor import Supervisor

START_SECONDS_MAX = 60.0  # RabbitMQ needs fifteen on two busy cores, all others less than one.
LOOK_SECONDS = 0.05

Answers = Callable[[], bool]


class Supervised:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._supervisor = Supervisor(folder, lambda _: None)
        self._thread = threading.Thread(target=self._supervisor.run, name="supervised", daemon=True)
        self._answers: dict[str, Answers] = {}
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._supervisor.ask_stop()
        self._supervisor.wait()

    def start(self, child: Child, answers: Answers) -> None:
        """Start a server, keep it running, and return when it answers."""
        self._answers[child.name] = answers
        self._supervisor.add(child)
        self.wait(child.name)

    def kill(self, name: str) -> None:
        """Kill a server as `kill -9` does, and return when its successor answers."""
        pid = self._supervisor.pid(name)
        os.kill(pid, signal.SIGKILL)
        self.wait(name, old_pid=pid)

    def hold(self, name: str) -> None:
        """Kill a server and keep it down until `release`."""
        self._supervisor.hold(name)
        os.killpg(self._supervisor.pid(name), signal.SIGKILL)
        self.wait_until(lambda: not self._supervisor.is_running(name), name)

    def release(self, name: str) -> None:
        self._supervisor.release(name)
        self.wait(name)

    def pid(self, name: str) -> int:
        return self._supervisor.pid(name)

    def wait(self, name: str, old_pid: int = 0) -> None:
        def is_up() -> bool:
            with contextlib.suppress(FileNotFoundError):  # It runs, and its pid is just being written down.
                is_new = self._supervisor.is_running(name) and self._supervisor.pid(name) != old_pid
                return is_new and self._answers[name]()
            return False

        self.wait_until(is_up, name)

    def wait_until(self, is_so: Callable[[], bool], name: str) -> None:
        """Return once it is so; the log of the server of this `name` tells why it never is."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not is_so():
            assert time.monotonic() < deadline, f"{name}: its log ends:\n{self._supervisor.log_tail(name)}"
            time.sleep(LOOK_SECONDS)
