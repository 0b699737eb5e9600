"""The whole system on one machine: servers, migration, processes. `tekana run` and the tests share it.

with Stack(data_dir, environment) as stack:
    stack.start()                 # or start_servers() alone
    httpx2.get(f"{stack.api_url}/health/ready")
    stack.kill("worker-wallets")  # it comes back by itself
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import httpx2
import msgspec

from local import environment as environments
from local import folder, leftovers, ports, processes, servers
from local.errors import StackError
from local.kept import Kept, write_private
from local.supervisor import Supervisor
from settings import ENVIRONMENT_FILE, Settings

SERVER_SECONDS_MAX = 60.0  # Recovery after kill -9 replays at most max_wal_size: seconds, on a slow disk more.
READY_SECONDS_MAX = 90.0  # Nine Python processes that import at once need 10 s on two slow cores.
COMMAND_SECONDS_MAX = 120.0  # A migration of a filled database.
RESTART_SECONDS_MAX = 30.0  # A restart takes 2 s, a killed PostgreSQL's recovery longer.
SERVER_DEATHS_MAX = 14  # About 15 s: what a killed PostgreSQL's own children may need to go.
PROCESS_DEATHS_MAX = 4  # A process that cannot start says so each time; no need to wait for more.
LOOK_SECONDS = 0.05


def quiet(_: str) -> None:
    """Say nothing."""


class Stack:
    """Starts and supervises the system below `data_dir`, in a thread of this process.

    `environment` (default: this process's) is what a user would set; API_PORT and FLOWER_PORT 0 choose free
    ports, DATABASE_URL and REDIS_URL replace the embedded servers. Only one stack may use a `data_dir`.
    """

    def __init__(
        self, data_dir: Path, environment: Mapping[str, str] | None = None, say: Callable[[str], None] = quiet
    ) -> None:
        """Claim the folder.

        Raises:
            StackError: another stack uses it.
            SettingsError: the environment has a bad value.

        """
        self.data_dir = data_dir.resolve()
        self._environment = dict(os.environ if environment is None else environment)
        self._given = environments.given(self._environment)
        self._say = say
        self._claim = folder.claim(self.data_dir)
        self.kept = Kept(self.data_dir / "kept.json")
        self.env: dict[str, str] = {}  # The processes' environment, once the servers have started.
        self._servers: dict[str, servers.Server] = {}
        self._supervisor = Supervisor(self.data_dir, say)
        self._thread = threading.Thread(target=self._supervisor.run, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def api_url(self) -> str:
        return f"http://{ports.HOST}:{self.env['API_PORT']}"

    @property
    def flower_url(self) -> str:
        return f"http://{ports.HOST}:{self.env['FLOWER_PORT']}"

    @property
    def database_url(self) -> str:
        """The owner's role, as a SQLAlchemy URL."""
        return self.env["DATABASE_URL"]

    @property
    def redis_url(self) -> str:
        return self.env["REDIS_URL"]

    def start(self) -> None:
        """Start everything and return when the API is ready.

        Raises:
            LocalError: with a sentence on what is in the way; `stop` is still to be called.

        """
        self.start_servers()
        self._say("bringing the database to the current schema")
        self.migrate()
        self._say("starting the API, the workers, the scheduler and Flower")
        self.start_processes()
        self.wait_ready()

    def start_servers(self) -> None:
        """Start PostgreSQL and Redis, unless others are given, and settle the environment."""
        left = leftovers.stop_all(self.data_dir / "run", {"postgres": signal.SIGINT})
        if left:
            self._say(f"stopped what an earlier run left behind: {', '.join(left)}")
        api_port, flower_port = environments.resolve_ports(self._given, self.kept)
        if not self._given.database_url:
            self._servers["postgres"] = servers.postgres(self.data_dir, self.kept, self._say)
        if not self._given.redis_url:
            self._servers["redis"] = servers.redis(self.data_dir, self.kept)
        self.env = self._settle(api_port, flower_port)
        self._write_environment()
        for server in self._servers.values():
            self._supervisor.add(server.child)
        self._thread.start()
        for name in self._servers:
            self._wait_server(name)

    def migrate(self) -> None:
        """Bring the database to the current schema and give its roles their passwords."""
        self.command("migrate")

    def start_processes(self) -> None:
        for child in processes.children(self.env, self.data_dir):
            self._supervisor.add(child)

    def replicate(self, name: str, replica: str, **changes: str) -> None:
        """Run another process as the child `name` is run, supervised as `replica`, with these settings changed."""
        child = self._supervisor.child(name)
        self._supervisor.add(msgspec.structs.replace(child, name=replica, env=child.env | changes))

    def wait_ready(self) -> None:
        """Wait until the API says that it and all it depends on are ready."""
        self._wait("api", lambda: _is_ready(self.api_url), READY_SECONDS_MAX)

    def wait(self) -> None:
        """Return when the supervision ends, which it does when somebody else calls `stop`."""
        self._supervisor.wait()

    def stop(self) -> None:
        """Stop everything in order; harmless when nothing was started or all has stopped."""
        self._supervisor.ask_stop()
        if self._thread.ident is not None:
            self._supervisor.wait()
        self._claim.close()

    def kill_all(self) -> None:
        """Kill every child now, for somebody who does not want to wait for `stop`."""
        self._supervisor.ask_stop()
        self._supervisor.kill_all()

    def command(self, *arguments: str, **changes: str) -> str:
        """Run the project's own command line in the stack's environment, so changed; return what it printed.

        Raises:
            StackError: with what it said when it failed.

        """
        argv = [sys.executable, "-m", "cli", *arguments]
        shown = f"`tekana {' '.join(arguments)}`"
        try:
            done = subprocess.run(
                argv,
                env=self.env | changes,
                cwd=processes.ROOT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise StackError(f"{shown} did not end within {COMMAND_SECONDS_MAX:.0f} s") from error
        if done.returncode != 0:
            raise StackError(f"{shown} failed:\n{done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def pid(self, name: str) -> int:
        return self._supervisor.pid(name)

    def kill(self, name: str) -> int:
        """Kill a child as `kill -9` does; return the pid it had. It comes back by itself."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_restarted(self, name: str, old_pid: int) -> None:
        """Wait until a killed child has another pid; a server, until it answers."""
        server = self._servers.get(name)
        is_back = lambda: self.pid(name) != old_pid and (server is None or server.answers())  # noqa: E731 - one line, used once
        self._wait(name, is_back, RESTART_SECONDS_MAX)

    def hold(self, name: str) -> None:
        """Kill a child and keep it down until `release`."""
        self._supervisor.hold(name)
        self._wait(name, lambda: self._is_down(name), RESTART_SECONDS_MAX)

    def release(self, name: str) -> None:
        """Let a held child come back, and wait until it has."""
        old_pid = self.pid(name)
        self._supervisor.release(name)
        self.wait_restarted(name, old_pid)

    def _settle(self, api_port: int, flower_port: int) -> dict[str, str]:
        given = self._given
        settled = msgspec.structs.replace(
            given,
            data_dir=self.data_dir,
            api_port=api_port,
            flower_port=flower_port,
            database_url=given.database_url or self._servers["postgres"].url,
            redis_url=given.redis_url or self._servers["redis"].url,
        )
        return environments.complete(self._environment, settled, self.kept)

    def _write_environment(self) -> None:
        """Leave the settled settings for the other verbs of `tekana`; they hold secrets, so mode 0600."""
        names = [name.upper() for name in Settings.__struct_fields__]
        known = {name: self.env[name] for name in names if name in self.env}
        write_private(self.data_dir / ENVIRONMENT_FILE, msgspec.json.format(msgspec.json.encode(known)))

    def _is_down(self, name: str) -> bool:
        if not self._supervisor.is_running(name):
            return True
        with contextlib.suppress(ProcessLookupError):
            self.kill(name)
        return False

    def _wait_server(self, name: str) -> None:
        server = self._servers[name]
        self._wait(name, server.answers, SERVER_SECONDS_MAX)
        self._say(f"{name} ready at {ports.HOST}:{server.port}")

    def _wait(self, name: str, is_done: Callable[[], bool], seconds_max: float) -> None:
        deadline = time.monotonic() + seconds_max
        deaths_max = SERVER_DEATHS_MAX if name in self._servers else PROCESS_DEATHS_MAX
        while not is_done():
            if self._supervisor.early_deaths(name) >= deaths_max or time.monotonic() > deadline:
                raise StackError(f"{name} does not start; its log ends:\n{self._supervisor.log_tail(name)}")
            time.sleep(LOOK_SECONDS)


def _is_ready(api_url: str) -> bool:
    try:
        return httpx2.get(f"{api_url}/health/ready", timeout=5, trust_env=False).is_success
    except httpx2.TransportError:
        return False
