"""Sentinels that watch over a master and its replica: real servers, which vote and fail over."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import redis

from local import ports, programs
from local.child import Child
from tests.supervised import Supervised

MASTER = "tekana-queue"
PASSWORD = "of-the-servers"
SENTINEL_PASSWORD = "of-the-sentinels"
SERVERS = ("server-1", "server-2")
SENTINELS = ("sentinel-1", "sentinel-2", "sentinel-3")
ORDERS = (list(SERVERS), list(reversed(SERVERS)))  # Master and replica.
QUORUM = 2
DOWN_MILLISECONDS = 1_000


class Watched:
    """A master, a replica and three sentinels."""

    def __init__(self, supervised: Supervised) -> None:
        self.supervised = supervised
        self.ports = {name: ports.free() for name in (*SERVERS, *SENTINELS)}

    def start(self) -> None:
        master = f"{ports.HOST} {self.ports[SERVERS[0]]}"
        for name in SERVERS:
            follow = f"replicaof {master}" if name != SERVERS[0] else ""
            own = [f"requirepass {PASSWORD}", f"masterauth {PASSWORD}", "appendonly yes", "repl-diskless-sync-delay 0"]
            self._start(name, *own, follow)
        for name in SENTINELS:
            watch = [
                f"sentinel monitor {MASTER} {master} {QUORUM}",
                f"sentinel auth-pass {MASTER} {PASSWORD}",
                f"sentinel down-after-milliseconds {MASTER} {DOWN_MILLISECONDS}",
                f"sentinel failover-timeout {MASTER} 5000",
                f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
            ]
            self._start(name, f"requirepass {SENTINEL_PASSWORD}", *watch)
        self.supervised.wait_until(lambda: self._follows(SERVERS[1]), SERVERS[1])
        self.supervised.wait_until(self._is_watched, SENTINELS[0])

    @property
    def url(self) -> str:
        hosts = ",".join(f"{ports.HOST}:{self.ports[name]}" for name in SENTINELS)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{MASTER}/0?sentinel_password={SENTINEL_PASSWORD}"

    def master(self) -> str:
        """Return the server that all sentinels call master; none while they do not agree."""
        named = {self._named_by(sentinel) for sentinel in SENTINELS}
        return named.pop() if len(named) == 1 else ""

    def _named_by(self, name: str) -> str:
        with self._client(name) as sentinel:
            _, port = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return next(server for server, its in self.ports.items() if its == int(port))

    def fail_over(self) -> None:
        """Kill the master; return when another one has taken over, while the old one is on its way back."""
        old = self.master()
        self.supervised.hold(old)
        self.supervised.wait_until(lambda: self.master() not in {"", old}, SENTINELS[0])
        self.supervised.release(old)

    def heal(self) -> None:
        """Return when all agree again, and the server that was killed follows the other one."""
        self.supervised.wait_until(lambda: [self.master(), *filter(self._follows, SERVERS)] in ORDERS, SENTINELS[0])

    def _is_watched(self) -> bool:
        """Whether every sentinel knows the replica and the other sentinels: earlier ones could not fail over."""
        return all(self._knows(name) == (len(SERVERS) - 1, len(SENTINELS) - 1) for name in SENTINELS)

    def _knows(self, name: str) -> tuple[int, int]:
        with self._client(name) as sentinel:
            state = sentinel.execute_command("SENTINEL", "MASTER", MASTER)
        known = {one.decode() if isinstance(one, bytes) else one: state[one] for one in state}
        return int(known["num-slaves"]), int(known["num-other-sentinels"])

    def _follows(self, name: str) -> bool:
        """Whether a server has all that the master had, and gets the rest."""
        with self._client(name) as server:
            return bool(server.info("replication").get("master_link_status") == "up")

    def _start(self, name: str, *lines: str) -> None:
        folder = self.supervised.folder / name
        folder.mkdir()
        ours = [f"port {self.ports[name]}", f"bind {ports.HOST}", f"dir {folder}", "daemonize no", 'save ""']
        is_sentinel = name in SENTINELS
        config = folder / "valkey.conf"
        config.write_text("\n".join([*(ours[:-1] if is_sentinel else ours), *lines, ""]), encoding="ascii")
        argv = (str(programs.redis_program()), str(config), *(["--sentinel"] if is_sentinel else []))
        child = Child(name=name, argv=argv, env={"LC_ALL": "C"}, cwd=folder, stage=0)
        self.supervised.start(child, lambda: self._answers(name))

    def _answers(self, name: str) -> bool:
        with contextlib.suppress(redis.RedisError), self._client(name) as client:
            return bool(client.ping())
        return False

    def _client(self, name: str) -> redis.Redis:
        password = SENTINEL_PASSWORD if name in SENTINELS else PASSWORD
        return redis.Redis(port=self.ports[name], password=password, socket_timeout=1)


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    with Supervised(folder) as supervised:
        servers = Watched(supervised)
        servers.start()
        yield servers
