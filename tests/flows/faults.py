"""Ways to break a running system. Each breaks it for real, sees it restored, and returns when that was."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import redis
from sqlalchemy import text

from local.stack import Stack
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
FREEZE_SECONDS = 3.0  # Longer than every timeout on the way to Redis but the consumer's.
TERMINATIONS = 5
TERMINATION_PAUSE_SECONDS = 0.05

Fault = Callable[[World], datetime]


def kill_worker(world: World) -> datetime:
    """Kill the worker's main process and, with its group, the child that settles."""
    return _kill(world.stack, WORKER)


def kill_pool_child(world: World) -> datetime:
    """Kill only the child that settles; its parent must notice."""
    now = datetime.now(UTC)
    for pid in children(world.stack.pid(WORKER)):
        os.kill(pid, signal.SIGKILL)
    return now


def kill_sweeper_and_worker(world: World) -> datetime:
    """Kill whom a dead worker's jobs depend on, and the worker."""
    _kill(world.stack, "sweeper")
    return _kill(world.stack, WORKER)


def kill_webhook_worker(world: World) -> datetime:
    """Kill whom no job depends on; what it was sending is sent again."""
    return _kill(world.stack, "worker-webhooks")


def kill_api(world: World) -> datetime:
    return _kill(world.stack, "api")


def kill_redis(world: World) -> datetime:
    world.stack.wait_restarted("redis", world.stack.kill("redis"))
    return datetime.now(UTC)


def wipe_redis(world: World) -> datetime:
    """Kill Redis and lose all that it had written."""
    world.stack.hold("redis")
    shutil.rmtree(world.stack.data_dir / "redis" / "appendonlydir")
    world.stack.release("redis")
    return datetime.now(UTC)


def flush_redis(world: World) -> datetime:
    """Empty Redis while everybody is connected to it."""
    client = redis.Redis.from_url(world.stack.redis_url)
    client.flushall()
    client.close()
    return datetime.now(UTC)


def freeze_redis(world: World) -> datetime:
    """Let Redis keep its connections and answer nothing."""
    pid = world.stack.pid("redis")
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(FREEZE_SECONDS)
    finally:
        os.kill(pid, signal.SIGCONT)
    return datetime.now(UTC)


def kill_postgres(world: World) -> datetime:
    world.stack.wait_restarted("postgres", world.stack.kill("postgres"))
    return datetime.now(UTC)


def terminate_backends(world: World) -> datetime:
    """End every session of the API and the workers, several times in a row."""
    query = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'tekana\\__%'")
    for _ in range(TERMINATIONS):
        with world.tx() as tx:
            tx.execute(query)
        time.sleep(TERMINATION_PAUSE_SECONDS)
    return datetime.now(UTC)


def kill_everything(world: World) -> datetime:
    """Kill all at once, as a power cut does."""
    pids = {name: world.stack.kill(name) for name in EVERYTHING}
    for name, pid in pids.items():
        world.stack.wait_restarted(name, pid)
    world.stack.wait_ready()
    return datetime.now(UTC)


FAULTS: Mapping[str, Fault] = {
    "the worker is killed": kill_worker,
    "the worker's pool child is killed": kill_pool_child,
    "the sweeper and the worker are killed": kill_sweeper_and_worker,
    "the webhook worker is killed": kill_webhook_worker,
    "the API is killed": kill_api,
    "Redis is killed": kill_redis,
    "Redis is killed and wiped": wipe_redis,
    "Redis is flushed": flush_redis,
    "Redis is frozen": freeze_redis,
    "PostgreSQL is killed": kill_postgres,
    "PostgreSQL's sessions are terminated": terminate_backends,
    "everything is killed": kill_everything,
}


def children(parent: int) -> list[int]:
    """Return the processes that `parent` started and that still run."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)  # noqa: S607 - ps is wherever PATH says
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, its_parent in pairs if int(its_parent) == parent]


def postgres_log(stack: Stack) -> Path:
    return stack.data_dir / "log" / "postgres.log"


def _kill(stack: Stack, name: str) -> datetime:
    """Kill a process that keeps nothing: what it held up counts from now on."""
    now = datetime.now(UTC)
    stack.wait_restarted(name, stack.kill(name))
    return now
