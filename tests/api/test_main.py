"""`python -m api`: what it has asked of Python when it begins to serve."""

import subprocess
import sys

from api.__main__ import SWITCH_SECONDS
from local.stack import Stack
from tests.api.processes import ROOT

PROGRAM = """
import sys, uvicorn, api.__main__
uvicorn.run = lambda *_, **__: print("interval", sys.getswitchinterval())
api.__main__.main()
"""


def test_a_thread_holds_up_the_event_loop_for_half_a_millisecond(servers: Stack) -> None:
    argv = [sys.executable, "-c", PROGRAM]
    said = subprocess.run(argv, cwd=ROOT, env=servers.env, check=True, capture_output=True, text=True).stdout

    assert f"interval {SWITCH_SECONDS}" in said
