import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from local import environment, ports
from local.child import Child

ROOT = Path(__file__).resolve().parent.parent
QUEUES = ("customers", "wallets", "transactions", "maintenance")
STAGE = 2  # Stops before Redis (1) and PostgreSQL (0).
# An open event stream ends by itself after 25 s, and the API waits for it; a warm worker shutdown ends the
# batch at hand, whose hard limit is 25 s too.
DRAIN_SECONDS_MAX = 30.0


def children(env: Mapping[str, str], data_dir: Path) -> list[Child]:
    """Return the processes of the system, to be started in this order."""
    beat_folder = data_dir / "beat"
    beat_folder.mkdir(exist_ok=True)
    flower_env = dict(env) | {"FLOWER_BASIC_AUTH": environment.flower_basic_auth(env)}
    flower = ("flower", f"--address={ports.HOST}", f"--port={env['FLOWER_PORT']}")
    return [
        _python("api", env, "api"),
        *(_python(f"worker-{queue}", env, *_worker(queue)) for queue in QUEUES),
        _python("sweeper", env, "workers.sweeper"),
        _python("beat", env, *_celery("beat", "--schedule", str(beat_folder / "schedule"), "--loglevel", "INFO")),
        _python("flower", flower_env, *_celery(*flower)),
    ]


def _worker(queue: str) -> tuple[str, ...]:
    # Events (-E) for Flower; no gossip and mingle, which cost messages and serve nothing here.
    flags = ("-E", "--without-gossip", "--without-mingle", "--loglevel", "INFO")
    return _celery("worker", "-Q", queue, "-n", f"{queue}@%h", "--concurrency", "1", *flags)


def _celery(*arguments: str) -> tuple[str, ...]:
    return ("celery", "-A", "workers.app", *arguments)


def _python(name: str, env: Mapping[str, str], module: str, *arguments: str) -> Child:
    return Child(
        name=name,
        argv=(sys.executable, "-m", module, *arguments),
        env=dict(env),
        cwd=ROOT,
        stage=STAGE,
        stop_signal=signal.SIGTERM,
        kill_after_seconds=DRAIN_SECONDS_MAX,
    )
