"""API processes beside the shared one, with settings of a test's own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2
import redis

from api.limits import KEYS, Rate
from local import ports
from tests.api.clients import Api, connect

ROOT = Path(__file__).parents[2]
START_SECONDS_MAX = 30.0  # Two seconds of imports, on a machine that does much else at the time.
STOP_SECONDS_MAX = 20.0


# A busy machine takes longer than a request may wait for Redis; then a process would count alone, or not at all.
PATIENT = "api.limits.TIMEOUT_SECONDS = api.lockouts.TIMEOUT_SECONDS = 10"
# No password is hashed, as if too many others always waited: with none, more wait than -1.
ALL_WAIT = "api.runtime.Passwords = lambda _: api.passwords.Passwords(-1)"
PROGRAM = "import api.__main__, api.limits, api.lockouts, api.passwords, api.runtime; {}; api.__main__.main()"


@contextlib.contextmanager
def serving(env: Mapping[str, str], log: Path, *, altered: str = "", **changes: str) -> Iterator[Api]:
    """Run one more `python -m api` on a free port, with constants altered; yield a client that holds no token."""
    port = ports.free()
    program = ("-c", PROGRAM.format(altered)) if altered else ("-m", "api")
    changed = dict(env) | changes | {"API_PORT": str(port)}
    with (
        log.open("ab") as output,
        subprocess.Popen([sys.executable, *program], cwd=ROOT, env=changed, stdout=output, stderr=output) as process,
        connect(f"http://{ports.HOST}:{port}") as http,
    ):
        try:
            wait_until_live(http, process)
            yield Api(http)
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(STOP_SECONDS_MAX)


def wait_until_live(http: httpx2.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx2.TransportError):
            if http.get("/health/live").is_success:
                return
        time.sleep(0.05)
    raise AssertionError(f"the API process {process.pid} does not answer; exit code {process.poll()}")


def forget_this_address(redis_url: str) -> None:
    """Let what other tests sent from this machine within the last minute not count."""
    with redis.Redis.from_url(redis_url) as client:
        for rate in (Rate.REGISTRATION, Rate.LOGIN_ADDRESS):
            client.delete(KEYS[rate] + ports.HOST)
