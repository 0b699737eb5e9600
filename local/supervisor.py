import threading
from collections.abc import Callable
from pathlib import Path

from local import leftovers
from local.child import Child, Life, kill_group

TICK_SECONDS = 0.1  # How long a death may go unnoticed: a twentieth of the two seconds promised.


class Supervisor:
    """Starts children, restarts those that die, stops them in order.

    One thread must do all the starting (`run` or `run_once`): Linux ties a child to the life of the
    *thread* that made it (prctl(2), PR_SET_PDEATHSIG). The other methods may be called from anywhere.
    """

    def __init__(self, data_dir: Path, say: Callable[[str], None]) -> None:
        self._say = say
        self._run_dir = data_dir / "run"
        self._log_dir = data_dir / "log"
        self._lives: dict[str, Life] = {}
        self._held: set[str] = set()
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._run_dir.mkdir(exist_ok=True)
        self._log_dir.mkdir(exist_ok=True)

    def run(self) -> None:
        """Supervise until `ask_stop`, then stop everything."""
        try:
            while not self._stopping.wait(TICK_SECONDS):
                self.run_once()
        finally:
            self.stop()
            self._ended.set()

    def wait(self) -> None:
        """Return when `run` has ended.

        An event, not `Thread.join`: when a signal handler raises in the midst of a join, Python 3.11 takes
        the thread for ended while it runs (cpython issue 90882).
        """
        self._ended.wait()

    def run_once(self) -> list[str]:
        """Notice who died and start whoever is due; return the names started."""
        return [life.child.name for life in list(self._lives.values()) if self._look_after(life)]

    def ask_stop(self) -> None:
        self._stopping.set()

    def add(self, child: Child) -> None:
        """Have `child` started at the next look and kept running from then on."""
        self._lives[child.name] = Life(child, self._log_dir / f"{child.name}.log")

    def child(self, name: str) -> Child:
        return self._lives[name].child

    def stop(self) -> None:
        """Stop the children, the highest stage first, and remove their pid files."""
        for stage in sorted({life.child.stage for life in self._lives.values()}, reverse=True):
            lives = [life for life in reversed(self._lives.values()) if life.child.stage == stage]
            for life in lives:
                life.ask_to_stop()
            for life in lives:
                life.wait_stopped()
                leftovers.forget(self._run_dir, life.child.name)

    def kill_all(self) -> None:
        """Kill every child now. Whoever waits in `stop` is done at once."""
        for process in [life.process for life in self._lives.values()]:
            if process is not None:
                kill_group(process.pid)

    def hold(self, name: str) -> None:
        """Do not restart this child until `release`."""
        self._held.add(name)

    def release(self, name: str) -> None:
        self._held.discard(name)

    def pid(self, name: str) -> int:
        """Return the pid that stands in the child's pid file.

        Raises:
            FileNotFoundError: the child was never started, or was stopped.

        """
        return int(leftovers.pid_file(self._run_dir, name).read_text(encoding="ascii"))

    def is_running(self, name: str) -> bool:
        return self._lives[name].process is not None

    def early_deaths(self, name: str) -> int:
        """Count how often in a row this child died soon after its start."""
        return self._lives[name].early_deaths

    def log_tail(self, name: str, lines: int = 15) -> str:
        path = self._lives[name].log_path
        if not path.exists():
            return ""
        text = path.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _look_after(self, life: Life) -> bool:
        name = life.child.name
        is_held = name in self._held
        reason = life.bury()
        if reason and not is_held:
            self._say(f"{name} ended ({reason}), starting it again")
        if is_held or not life.is_due:
            return False
        return self._start(life)

    def _start(self, life: Life) -> bool:
        try:
            leftovers.remember(self._run_dir, life.child.name, life.start(), life.child.argv)
        except OSError as error:
            self._say(f"{life.child.name} cannot be started: {error}")
            return False
        return True
