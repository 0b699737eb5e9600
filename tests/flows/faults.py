"""Ways to break a running system. Each breaks it for real, sees it restored, and returns when that was."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import redis
from sqlalchemy import text

from local.stack import Stack
from tests.flows.trials import IS_FULL
from tests.flows.world import World

WORKER = "worker-transactions"
EVERYTHING = (
    "api",
    "worker-customers",
    "worker-wallets",
    "worker-transactions",
    "worker-webhooks",
    "worker-maintenance",
    "sweeper",
    "beat",
    "flower",
    "redis",
    "postgres",
)
REPLICA = "worker-transactions-2"
# Longer than every timeout on the way to Redis but the consumer's; in the full set, than every timeout that there is.
FREEZE_SECONDS = (20.0, 30.0) if IS_FULL else (3.0, 3.5)
REPLICA_SECONDS_MAX = 30.0
HANG_UPS = 5
HANG_UP_PAUSE_SECONDS = 0.05

Fault = Callable[[World, Random], datetime]


def kill_worker(world: World, _: Random) -> datetime:
    """Kill the worker's main process and, with its group, the child that settles."""
    return _kill(world.stack, WORKER)


def kill_pool_child(world: World, _: Random) -> datetime:
    """Kill only the child that settles; its parent must notice."""
    now = datetime.now(UTC)
    for pid in children(world.stack.pid(WORKER)):
        os.kill(pid, signal.SIGKILL)
    return now


def kill_sweeper_and_worker(world: World, _: Random) -> datetime:
    """Kill whom a dead worker's jobs depend on, and the worker."""
    _kill(world.stack, "sweeper")
    return _kill(world.stack, WORKER)


def kill_webhook_worker(world: World, _: Random) -> datetime:
    """Kill whom no job depends on; what it was sending is sent again."""
    return _kill(world.stack, "worker-webhooks")


def kill_api(world: World, _: Random) -> datetime:
    return _kill(world.stack, "api")


def kill_redis(world: World, _: Random) -> datetime:
    world.stack.wait_restarted("redis", world.stack.kill("redis"))
    return datetime.now(UTC)


def wipe_redis(world: World, _: Random) -> datetime:
    """Kill Redis and lose all that it had written."""
    world.stack.hold("redis")
    shutil.rmtree(world.stack.data_dir / "redis" / "appendonlydir")
    world.stack.release("redis")
    return datetime.now(UTC)


def flush_redis(world: World, _: Random) -> datetime:
    """Empty Redis while everybody is connected to it."""
    client = redis.Redis.from_url(world.stack.redis_url)
    client.flushall()
    client.close()
    return datetime.now(UTC)


def freeze_redis(world: World, draw: Random) -> datetime:
    """Let Redis keep its connections and answer nothing."""
    return _freeze([world.stack.pid("redis")], draw)


def kill_redis_connections(world: World, _: Random) -> datetime:
    """Have Redis hang up on everybody, several times in a row."""
    with redis.Redis.from_url(world.stack.redis_url) as client:
        for _time in range(HANG_UPS):
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
            time.sleep(HANG_UP_PAUSE_SECONDS)
    return datetime.now(UTC)


def freeze_worker(world: World, draw: Random) -> datetime:
    """Stop a worker in the midst of a batch, while another one takes up what it leaves, and let it go on."""
    _have_replica(world.stack)
    back_at = _freeze(family(world.stack, WORKER), draw)
    world.stack.hold(REPLICA)
    return back_at


def freeze_api(world: World, draw: Random) -> datetime:
    return _freeze(family(world.stack, "api"), draw)


def freeze_postgres(world: World, draw: Random) -> datetime:
    """Let PostgreSQL keep its connections and answer nothing: all its processes stop."""
    return _freeze(family(world.stack, "postgres"), draw)


def kill_postgres(world: World, _: Random) -> datetime:
    world.stack.wait_restarted("postgres", world.stack.kill("postgres"))
    return datetime.now(UTC)


def terminate_backends(world: World, _: Random) -> datetime:
    """End every session of the API and the workers, several times in a row."""
    query = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'tekana\\__%'")
    for _time in range(HANG_UPS):
        with world.tx() as tx:
            tx.execute(query)
        time.sleep(HANG_UP_PAUSE_SECONDS)
    return datetime.now(UTC)


def kill_everything(world: World, _: Random) -> datetime:
    """Kill all at once, as a power cut does."""
    pids = {name: world.stack.kill(name) for name in EVERYTHING}
    for name, pid in pids.items():
        world.stack.wait_restarted(name, pid)
    world.stack.wait_ready()
    return datetime.now(UTC)


FAULTS: Mapping[str, Fault] = {
    "the worker is killed": kill_worker,
    "the worker's pool child is killed": kill_pool_child,
    "the worker is frozen beside another": freeze_worker,
    "the sweeper and the worker are killed": kill_sweeper_and_worker,
    "the webhook worker is killed": kill_webhook_worker,
    "the API is killed": kill_api,
    "the API is frozen": freeze_api,
    "Redis is killed": kill_redis,
    "Redis is killed and wiped": wipe_redis,
    "Redis is flushed": flush_redis,
    "Redis is frozen": freeze_redis,
    "Redis's connections are killed": kill_redis_connections,
    "PostgreSQL is killed": kill_postgres,
    "PostgreSQL is frozen": freeze_postgres,
    "PostgreSQL's sessions are terminated, five times": terminate_backends,
    "everything is killed": kill_everything,
}


def family(stack: Stack, name: str) -> list[int]:
    """Return a child of the stack and the processes that it started, the parent first."""
    pid = stack.pid(name)
    return [pid, *children(pid)]


def children(parent: int) -> list[int]:
    """Return the processes that `parent` started and that still run."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)  # noqa: S607 - ps is wherever PATH says
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, its_parent in pairs if int(its_parent) == parent]


def postgres_log(stack: Stack) -> Path:
    return stack.data_dir / "log" / "postgres.log"


def _freeze(pids: list[int], draw: Random) -> datetime:
    """Stop processes for a while; return when they go on. Who ends meanwhile is nobody's concern."""
    _signal(pids, signal.SIGSTOP)
    try:
        time.sleep(draw.uniform(*FREEZE_SECONDS))
    finally:
        _signal(pids, signal.SIGCONT)
    return datetime.now(UTC)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _have_replica(stack: Stack) -> None:
    """Run a second worker of transfers, and wait until it has a child that settles."""
    if (stack.data_dir / "run" / f"{REPLICA}.pid").exists():
        stack.release(REPLICA)
    else:
        stack.replicate(WORKER, REPLICA)
    deadline = time.monotonic() + REPLICA_SECONDS_MAX
    while not _has_children(stack, REPLICA):
        assert time.monotonic() < deadline
        time.sleep(HANG_UP_PAUSE_SECONDS)


def _has_children(stack: Stack, name: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return bool(children(stack.pid(name)))
    return False


def _kill(stack: Stack, name: str) -> datetime:
    """Kill a process that keeps nothing: what it held up counts from now on."""
    now = datetime.now(UTC)
    stack.wait_restarted(name, stack.kill(name))
    return now
