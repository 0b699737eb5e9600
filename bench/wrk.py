"""wrk, the load generator: as many requests as are answered, with unique keys and bearer tokens (transfer.lua)."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

from bench.bank import Targets

FOLDER = Path(__file__).parent
TRANSFERS = FOLDER / "transfer.lua"
PATIENCE = "30s"  # Who waits longer for an answer counts as broken; wrk's own 2 s would hide the slowest.


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What wrk saw. Latency is that of the 202, not of the settlement."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int


def post(url: str, targets: Targets, *, clients: int, seconds: int, script: Path = TRANSFERS) -> Accepted:
    """Post with `clients` connections for `seconds`; one thread, because the machine has others to run."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("bench: wrk is not installed (Debian and Ubuntu: apt-get install wrk)")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "targets.txt"
        targets.write(path)
        amount = ("-t1", f"-c{clients}", f"-d{seconds}s", f"--timeout={PATIENCE}")
        argv = [wrk, *amount, "-s", str(script), url, "--", str(path)]
        output = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return read(output)


def read(output: str) -> Accepted:
    """Return what the script wrote at its end."""
    lines = [line for line in output.splitlines() if line.startswith("JSON ")]
    if not lines:
        raise RuntimeError(f"wrk ended without a result:\n{output}")
    return msgspec.json.decode(lines[0].removeprefix("JSON "), type=Accepted)


def whole(found: Accepted) -> Accepted:
    """Return what was seen, if every request was accepted.

    Raises:
        RuntimeError: requests were refused, or not answered: then no figure is worth anything.

    """
    if found.refused or found.broken:
        raise RuntimeError(f"{found.refused} requests were refused, {found.broken} not answered")
    return found
