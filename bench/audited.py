"""The audit after a run: a figure of books that do not add up is none."""

import subprocess
import sys
import time

from local.processes import ROOT
from local.stack import Stack


def seconds(stack: Stack) -> float:
    """Run `tekana audit verify`; return how long it took.

    Raises:
        RuntimeError: it found something.

    """
    began = time.monotonic()
    argv = [sys.executable, "-m", "cli", "audit", "verify"]
    done = subprocess.run(argv, env=stack.env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the audit found something:\n{done.stdout}{done.stderr}")
    return time.monotonic() - began
