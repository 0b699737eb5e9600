"""A real PostgreSQL and a real Redis (Valkey) of this project's own: no Docker, no root, nothing installed.

`postgres` and `redis` prepare a data folder and describe the child to run; the supervisor runs it. They are
as durable as in production: a killed server loses nothing that was committed.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec

from local import account, environment, ports, programs, tuning
from local.child import Child
from local.errors import ServerError
from local.kept import Kept

NAME = "tekana"  # Of the superuser and of the database.
ANSWER_SECONDS_MAX = 1.0  # On the loopback; a server that needs longer is not ready.
STOP_SECONDS_MAX = 30.0  # A fast shutdown writes a checkpoint of at most shared_buffers.
PROTOCOL_3_0 = 196_608  # PostgreSQL documentation, "Message Formats", StartupMessage.


class Server(msgspec.Struct, frozen=True, kw_only=True):
    child: Child
    port: int
    url: str
    answers: Callable[[], bool]  # Whether it takes commands now.


def postgres(data_dir: Path, kept: Kept, say: Callable[[str], None]) -> Server:
    """Return a PostgreSQL server with its data below `data_dir`, initialised on the first call.

    Raises:
        ServerError: no program was found, or the data folder cannot be made or used.

    """
    user = account.account()
    bin_folder = account.postgres_folder(kept, say)
    folder = account.home(data_dir, kept, say) / "postgres"
    password = kept.once("database_password", lambda: secrets.token_urlsafe(24))
    if not folder.exists():
        _make_cluster(bin_folder, folder, user, password)
    _require_own(folder, user)
    _write_settings(folder, user)
    port = _port(kept, "postgres_port")
    child = Child(
        name="postgres",
        argv=(str(bin_folder / "postgres"), "-D", str(folder), "-p", str(port)),
        env=_environment(),
        cwd=Path("/"),
        stage=0,
        stop_signal=signal.SIGINT,  # "Fast": ends the sessions, then writes a checkpoint.
        kill_after_seconds=STOP_SECONDS_MAX,
        account=user,
    )
    url = f"postgresql+psycopg://{NAME}:{password}@{ports.HOST}:{port}/{NAME}"
    return Server(child=child, port=port, url=url, answers=lambda: _postgres_answers(port))


def redis(data_dir: Path, kept: Kept) -> Server:
    """Return a Redis server with its data below `data_dir`.

    Raises:
        ServerError: no program was found.

    """
    folder = data_dir / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    password = kept.once("redis_password", lambda: secrets.token_urlsafe(24))
    port = _port(kept, "redis_port")
    settings = tuning.REDIS | {"port": str(port), "requirepass": password, "dir": _quoted(folder)}
    config = folder / "redis.conf"  # A file, not arguments: `ps` shows those to everybody.
    config.touch(mode=0o600)
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()), encoding="utf-8")
    child = Child(
        name="redis",
        argv=(str(programs.redis_program()), str(config)),
        env=_environment(),
        cwd=folder,
        stage=1,
        kill_after_seconds=STOP_SECONDS_MAX,
    )
    url = f"redis://:{password}@{ports.HOST}:{port}/0"
    return Server(child=child, port=port, url=url, answers=lambda: _redis_answers(port, password))


def _make_cluster(bin_folder: Path, folder: Path, user: str, password: str) -> None:
    """Initialise beside its place, then rename: a cluster that is half made never looks finished."""
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    password_file = folder.with_name(f".{folder.name}.password")
    password_file.touch(mode=0o600)
    password_file.write_text(password, encoding="ascii")
    account.own(unfinished, user)
    account.own(password_file, user)
    try:
        _run_initdb(bin_folder, unfinished, user, password_file)
    finally:
        password_file.unlink()
    single = [str(bin_folder / "postgres"), "--single", "-D", str(unfinished), "template1"]
    account.run_as(user, single, _environment(), text=f"CREATE DATABASE {NAME};\n")
    unfinished.rename(folder)


def _run_initdb(bin_folder: Path, folder: Path, user: str, password_file: Path) -> None:
    argv = [str(bin_folder / "initdb"), "-D", str(folder), "-U", NAME, f"--pwfile={password_file}"]
    argv += ["--auth=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-instructions"]
    if programs.postgres_major(bin_folder) >= 17:
        # The same order of strings on every machine, with Unicode's upper and lower case.
        argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    account.run_as(user, argv, _environment())


def _require_own(folder: Path, user: str) -> None:
    owner = folder.stat().st_uid
    ours = os.geteuid() if not user else account.uid(user)
    if owner != ours:
        raise ServerError(f"{folder} belongs to user {owner}: run as that user, or set DATA_DIR to another folder")


def _write_settings(folder: Path, user: str) -> None:
    """Say every setting that differs from PostgreSQL's own, anew at each start."""
    path = folder / "postgresql.conf"
    lines = (f"{name} = {value}\n" for name, value in tuning.POSTGRES.items())
    path.write_text("".join(lines), encoding="ascii")
    account.own(path, user)


def _port(kept: Kept, name: str) -> int:
    """Return the remembered port while it is free, otherwise another that is remembered from now on."""
    port = int(kept.once(name, lambda: str(ports.free())))
    if not ports.is_free(port):
        port = ports.free()
        kept.put(name, str(port))
    return port


def _environment() -> dict[str, str]:
    """Return our environment without our secrets and what would change a server's defaults or language."""
    ours = {
        name: value for name, value in environment.confined(os.environ).items() if not name.startswith(("LC_", "PG"))
    }
    return ours | {"LC_ALL": "C", "LANG": "C"}


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _postgres_answers(port: int) -> bool:
    """Knock: a server that asks for a password takes connections; one that starts up sends an error."""
    body = struct.pack("!i", PROTOCOL_3_0) + f"user\0{NAME}\0database\0{NAME}\0\0".encode()
    return _reply(port, struct.pack("!i", len(body) + 4) + body, size=1) == b"R"


def _redis_answers(port: int, password: str) -> bool:
    expected = b"+OK\r\n+PONG\r\n"
    return _reply(port, f"AUTH {password}\r\nPING\r\n".encode(), size=len(expected)) == expected


def _reply(port: int, request: bytes, size: int) -> bytes:
    with contextlib.suppress(OSError), socket.create_connection((ports.HOST, port), ANSWER_SECONDS_MAX) as connection:
        connection.sendall(request)
        return connection.recv(size, socket.MSG_WAITALL)
    return b""
