"""PgBouncer in front of a stack's PostgreSQL, set up as docs/databases.md says."""

import configparser
import contextlib
import re
from collections.abc import Mapping
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from local import account, ports
from local.child import Child
from tests.operations.packages import program
from tests.supervised import Supervised

PAGE = Path(__file__).parents[2] / "docs" / "databases.md"
NAME = "pgbouncer"
URLS = ("DATABASE_URL", "DATABASE_API_URL", "DATABASE_WORKER_URL")


def documented() -> configparser.ConfigParser:
    """Return the configuration that the page shows."""
    [block] = re.findall(r"^```ini\n(\[databases\].*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    parsed = configparser.ConfigParser()
    parsed.read_string(block)
    return parsed


def start(supervised: Supervised, env: Mapping[str, str], *, pool_size: int = 0) -> int:
    """Start PgBouncer for the databases of `env`; return its port. A `pool_size` replaces the page's."""
    port, user, folder = ports.free(), account.account(), supervised.folder
    config = documented()
    postgres = make_url(env["DATABASE_URL"])
    config["databases"] = {"tekana": f"host={postgres.host} port={postgres.port} dbname={postgres.database}"}
    here = {"listen_addr": ports.HOST, "listen_port": str(port), "unix_socket_dir": ""}
    config["pgbouncer"].update(
        here | {"auth_file": str(folder / "userlist.txt"), "admin_users": str(postgres.username)}
    )
    if pool_size:
        config["pgbouncer"]["default_pool_size"] = str(pool_size)
    _write(folder / "userlist.txt", _users(env), user)
    with (folder / "pgbouncer.ini").open("w", encoding="ascii") as file:
        config.write(file)
    account.own(folder / "pgbouncer.ini", user)
    argv = (str(program("pgbouncer", package="pgbouncer")), str(folder / "pgbouncer.ini"))
    child = Child(name=NAME, argv=argv, env={"LC_ALL": "C"}, cwd=Path("/"), stage=0, account=user)
    supervised.start(child, lambda: _answers(through(env["DATABASE_URL"], port)))
    return port


def through(url: str, port: int) -> str:
    """Return an address of PostgreSQL as one of PgBouncer."""
    return make_url(url).set(port=port, database="tekana").render_as_string(hide_password=False)


def _users(env: Mapping[str, str]) -> str:
    """Passwords as they are: PgBouncer cannot log in with what PostgreSQL keeps of a role before it has logged in."""
    urls = [make_url(env[name]) for name in URLS]
    return "".join(f'"{url.username}" "{url.password}"\n' for url in urls)


def _write(path: Path, content: str, user: str) -> None:
    path.touch(mode=0o600)
    path.write_text(content, encoding="ascii")
    account.own(path, user)


def _answers(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url.replace("+psycopg", "")):
        return True
    return False
