"""A network of a test's own whose kernel drops packets: a namespace (network_namespaces(7)) and its filter (nft(8)).

Unlike a bent link it is silent from a connection's first packet on, and what is lost is sent again by TCP itself. For
root only.
"""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000  # <sched.h>; os.unshare and os.setns came with Python 3.12.
ALL = 100  # Percent.
OWN = Path("/proc/thread-self/ns/net")


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Be in a new network, in which there is nothing but loopback: this thread, and what it starts from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    with OWN.open() as before:
        _check(libc.unshare(CLONE_NEWNET))
        try:
            _run("ip", "link", "set", "lo", "up")
            yield
        finally:
            _check(libc.setns(before.fileno(), CLONE_NEWNET))


@contextlib.contextmanager
def lost(percent: int, *ports: int) -> Iterator[None]:
    """Drop such a share of all packets to and from these ports."""
    rules = [
        f"add rule inet lost arriving tcp {side} {port} numgen random mod {ALL} 0-{percent - 1} drop"
        for port in ports
        for side in ("dport", "sport")
    ]
    chain = "add chain inet lost arriving { type filter hook input priority filter; }"
    _run("nft", "\n".join(["add table inet lost", chain, *rules]))
    try:
        yield
    finally:
        _run("nft", "delete table inet lost")


def _check(result: int) -> None:
    if result:
        raise OSError(number := ctypes.get_errno(), os.strerror(number))


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)
