"""The scripts of deploy/backup as an operator runs them, and the servers that they make."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from sqlalchemy import make_url, text

from local import account, ports
from local.stack import Stack
from tests.conftest import reachable_folder
from tests.flows.world import World
from tests.standbys import wait_until

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 300.0
ARCHIVE_SECONDS = 5  # archive_timeout: how much of the log waits at most for its archive.


class Site:
    """A folder that PostgreSQL's account can be in, with the scripts, backups, the archive and new servers."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self.archive = self._owned(folder / "archive")
        self.backups = self._owned(folder / "backups")
        self.servers = self._owned(folder / "servers")
        self._scripts = shutil.copytree(ROOT / "deploy" / "backup", folder / "scripts")
        self._stack = stack

    def archive_everything(self) -> None:
        """Have the stack's PostgreSQL archive its log, which takes a restart."""
        command = f'{self._scripts}/archive-wal.sh "%p" "%f" {self.archive}'
        settings = {"archive_mode": "on", "archive_command": command, "archive_timeout": f"{ARCHIVE_SECONDS}s"}
        with psycopg.connect(plain(self._stack.database_url), autocommit=True) as owner:
            for name, value in settings.items():
                owner.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        self._stack.wait_restarted("postgres", self._stack.kill("postgres"))

    def run(self, script: str, *arguments: str | Path, database_url: str) -> dict[str, Any]:
        """Run a script to its end; return what its line of JSON says."""
        done = self.attempt(script, *arguments, database_url=database_url)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = msgspec.json.decode(done.stdout)
        return result

    def attempt(
        self, script: str, *arguments: str | Path, database_url: str, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script to its end, whatever that is; `more` goes into its environment."""
        return subprocess.run(
            [str(self._scripts / script), *map(str, arguments)],
            env=self._environment(database_url) | more,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )

    def new_address(self) -> str:
        """Return the owner's address at a port of this machine that nobody knows."""
        url = make_url(self._stack.database_url).set(port=ports.free())
        return url.render_as_string(hide_password=False)

    @contextlib.contextmanager
    def running(self, data: Path, database_url: str) -> Iterator[None]:
        """Run a server that a script has made, as an operator starts it afterwards."""
        options = f"-p {make_url(database_url).port} -c listen_addresses={ports.HOST} -c unix_socket_directories="
        self.control(data, "--wait", f"--log={data}/server.log", f"--options={options}", "start")
        try:
            yield
        finally:
            self.control(data, "--wait", "--mode=immediate", "stop")

    def control(self, data: Path, *arguments: str) -> None:
        """Run pg_ctl as the account that the server runs as."""
        program = account.postgres_folder(self._stack.kept, lambda _: None) / "pg_ctl"
        account.run_as(account.account(), [str(program), f"--pgdata={data}", *arguments], {"LC_ALL": "C"})

    def _environment(self, database_url: str) -> dict[str, str]:
        return {
            "DATABASE_URL": database_url,
            "SEAL_KEY": self._stack.env["SEAL_KEY"],
            "TEKANA": str(Path(sys.executable).with_name("tekana")),
            "PG_BIN": str(account.postgres_folder(self._stack.kept, lambda _: None)),
            "PG_USER": account.account(),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
        }

    @staticmethod
    def _owned(folder: Path) -> Path:
        folder.mkdir()
        account.own(folder, account.account())
        return folder


@contextlib.contextmanager
def site(stack: Stack) -> Iterator[Site]:
    with reachable_folder() as folder:
        yield Site(folder, stack)


def wait_archived(world: World) -> None:
    """Return when the archive has all that was written until now."""
    with world.tx() as tx:
        tx.execute(text("SELECT pg_create_restore_point('all')"))
        segment = tx.scalar(text("SELECT pg_walfile_name(pg_switch_wal())"))
    archived = text("SELECT last_archived_wal >= :segment FROM pg_stat_archiver")

    def is_archived() -> bool:
        with world.tx() as tx:
            return bool(tx.scalar(archived, {"segment": segment}))

    wait_until(is_archived, SECONDS_MAX)


def at(env: Mapping[str, str], database_url: str) -> dict[str, str]:
    """Return the settings of a system that goes on at another address with the same secrets."""
    there = make_url(database_url)
    urls = {
        name: make_url(env[name]).set(host=there.host, port=there.port).render_as_string(hide_password=False)
        for name in ("DATABASE_URL", "DATABASE_API_URL", "DATABASE_WORKER_URL")
    }
    return urls | {name: env[name] for name in ("TOKEN_KEY", "INDEX_KEY", "SEAL_KEY", "PII_KEYS", "WEBHOOK_KEYS")}


def plain(url: str) -> str:
    """Return an address as libpq writes it."""
    return url.replace("+psycopg", "")
