"""The yardstick: pgbench's TPC-B-like transaction on the same server, best of several client counts."""

import re

import msgspec

from bench.load import postgres, query
from local.stack import Stack

DATABASE = "pgbench"
SCALE = 20  # 2,000,000 accounts, 300 MB: more than one machine's hot set of wallets.
CLIENTS = (8, 16, 32, 64)
THREADS = 2


class Bare(msgspec.Struct, frozen=True, kw_only=True):
    """Transactions per second of each client count, and the best."""

    by_clients: dict[str, float]
    best: float


def prepare(stack: Stack) -> None:
    query(stack, f"CREATE DATABASE {DATABASE}")
    _pgbench(stack, "--initialize", "--quiet", f"--scale={SCALE}")


def run(stack: Stack, seconds: int) -> Bare:
    """Measure each client count for `seconds`, with prepared statements: pgbench at its fastest."""
    found = {}
    for clients in CLIENTS:
        output = _pgbench(
            stack,
            f"--client={clients}",
            f"--jobs={THREADS}",
            f"--time={seconds}",
            "--protocol=prepared",
            "--no-vacuum",
        )
        match = re.search(r"tps = ([\d.]+)", output)
        if match is None:
            raise RuntimeError(f"pgbench printed no tps: {output}")
        found[str(clients)] = round(float(match[1]), 1)
    return Bare(by_clients=found, best=max(found.values()))


def _pgbench(stack: Stack, *arguments: str) -> str:
    return postgres(stack, "pgbench", *arguments, database=DATABASE)
