import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from local import environment, ports, scraping
from local.child import Child

ROOT = Path(__file__).resolve().parent.parent
QUEUES = ("customers", "wallets", "transactions", "webhooks", "maintenance")
STAGE = 2  # Stops before Redis (1) and PostgreSQL (0).
# An open event stream ends by itself after 25 s, and the API waits for it; a warm worker shutdown ends the
# batch at hand, whose hard limit is 25 s too.
DRAIN_SECONDS_MAX = 30.0

# Who learns what: the API cannot move money nor seal it, workers cannot log in, and the owner's password is nobody's.
BROKER = ("REDIS_URL", "BROKER_URL")
API = (
    "DATABASE_API_URL",
    "DATABASE_READ_URL",
    *BROKER,
    "TOKEN_KEY",
    "TOKEN_KEYS_ACCEPTED",
    "INDEX_KEY",
    "PII_KEYS",
    "WEBHOOK_KEYS",
    "COHORT_MEMBERS",
)
WORKER = ("DATABASE_WORKER_URL", *BROKER, "SEAL_KEY")
WEBHOOK_WORKER = ("DATABASE_WORKER_URL", *BROKER, "WEBHOOK_KEYS")
# A silent name server keeps a thread of the webhook worker for 4 s instead of 20 (resolv.conf(5)).
RESOLVER = {"RES_OPTIONS": "timeout:2 attempts:2"}


def children(env: Mapping[str, str], data_dir: Path) -> list[Child]:
    """Return the processes of the system, to be started in this order."""
    beat_folder = data_dir / "beat"
    beat_folder.mkdir(exist_ok=True)
    # Who only rings or looks on needs the broker's address alone.
    broker_env = environment.confined(env, "BROKER_URL" if env.get("BROKER_URL") else "REDIS_URL")
    worker_env = environment.confined(env, *WORKER)
    worker_envs = {"webhooks": environment.confined(env, *WEBHOOK_WORKER) | RESOLVER}
    flower_env = broker_env | {"FLOWER_BASIC_AUTH": environment.flower_basic_auth(env)}
    beat = ("workers", "beat", "--schedule", str(beat_folder / "schedule"))
    flower = ("workers", "flower", f"--address={ports.HOST}", f"--port={env['FLOWER_PORT']}")
    started = [
        _python("api", environment.confined(env, *API), "api"),
        *(_python(f"worker-{queue}", worker_envs.get(queue, worker_env), *_worker(queue)) for queue in QUEUES),
        _python("sweeper", worker_env, "workers.sweeper"),
        _python("beat", broker_env, *beat),
        _python("flower", flower_env, *flower),
    ]
    return scraping.shown(started, data_dir, {"api": int(env["API_PORT"])})


def _worker(queue: str) -> tuple[str, ...]:
    # Events (-E) for Flower; no gossip and mingle, which cost messages and serve nothing here.
    flags = ("-E", "--without-gossip", "--without-mingle")
    return ("workers", "worker", "-Q", queue, "-n", f"{queue}@%h", "--concurrency", "1", *flags)


def _python(name: str, env: dict[str, str], module: str, *arguments: str) -> Child:
    return Child(
        name=name,
        argv=(sys.executable, "-m", module, *arguments),
        env=env,
        cwd=ROOT,
        stage=STAGE,
        stop_signal=signal.SIGTERM,
        kill_after_seconds=DRAIN_SECONDS_MAX,
    )
