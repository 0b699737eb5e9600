"""A deployment: each process in turn is asked to stop, and another takes its place."""

import os
import signal
import time
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple

from local.stack import Stack
from tests.flows.faults import EVERYTHING

PROCESSES = [name for name in EVERYTHING if name not in {"postgres", "redis"}]  # Their upgrade is no rolling stop.
STOP_SECONDS_MAX = 40.0
LOOK_SECONDS = 0.02


class Stop(NamedTuple):
    at: datetime
    seconds: float  # Until the next process stood there.


def roll(stack: Stack, draw: Random) -> dict[str, Stop]:
    """Stop each process in some order, the next one when the one before has its successor."""
    return {name: _stop(stack, name) for name in draw.sample(PROCESSES, len(PROCESSES))}


def too_slow(stopped: dict[str, Stop]) -> dict[str, float]:
    return {name: stop.seconds for name, stop in stopped.items() if stop.seconds > STOP_SECONDS_MAX}


def _stop(stack: Stack, name: str) -> Stop:
    pid, at, started = stack.pid(name), datetime.now(UTC), time.monotonic()
    os.kill(pid, signal.SIGTERM)
    while stack.pid(name) == pid and time.monotonic() - started <= STOP_SECONDS_MAX:
        time.sleep(LOOK_SECONDS)
    return Stop(at, time.monotonic() - started)
