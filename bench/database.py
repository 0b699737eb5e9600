"""Questions to the database that is measured, as its owner: by one connection, which costs the machine nothing."""

import os
import subprocess
import time
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg

from local.programs import postgres_folder

QUEUED = "SELECT count(*) FROM jobs WHERE state = 'queued'"
LOOK_SECONDS = 0.05
LEFT_SECONDS = 0.3  # wrk ends while requests are under way, which are accepted nevertheless: within 0.2 s, 99 of 100.
PATIENCE_SECONDS = 300.0  # A backlog that one worker needs longer for is no backlog of ours.


class Database:
    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def value(self, statement: str, **values: object) -> Any:
        """Return the single value that `statement` selects."""
        return self.row(statement, **values)[0]

    def row(self, statement: str, **values: object) -> tuple[Any, ...]:
        return self.rows(statement, **values)[0]

    def rows(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement.encode(), values).fetchall()

    def run(self, statement: str, **values: object) -> None:
        self._connection.execute(statement.encode(), values)

    def calm_down(self) -> None:
        """Write what was changed so far: whoever is measured next should not wait for it."""
        self.run("CHECKPOINT")

    def now(self) -> float:
        """Return the database's time, in seconds since 1970: what all its other times compare with."""
        return float(self.value("SELECT extract(epoch FROM clock_timestamp())"))

    def wait_settled(self, *, left: bool = False) -> None:
        """Return when nothing is queued any more; `left`: first wait for what wrk has left under way.

        Raises:
            RuntimeError: that took too long.

        """
        if left:
            time.sleep(LEFT_SECONDS)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while queued := self.value(QUEUED):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{queued} jobs are queued after {PATIENCE_SECONDS:.0f} s")
            time.sleep(LOOK_SECONDS)


def program(url: str, name: str, *arguments: str, database: str) -> str:
    """Run a PostgreSQL client program as the owner; the address goes by the environment, which `ps` does not show."""
    parts = urlsplit(url)
    login = {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or ""),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": database,
    }
    argv = [str(postgres_folder() / name), *arguments]
    return subprocess.run(argv, env=os.environ | login, check=True, capture_output=True, text=True).stdout
