"""The yardstick: pgbench's TPC-B-like transaction on the same server, best of several client counts."""

import re

import msgspec

from bench.database import Database, program

NAME = "pgbench"
SCALE = 10  # 1,000,000 accounts, 150 MB: in memory, as our hot rows are.
CLIENTS = (4, 8, 16)  # On two cores fewer leave the disk idle, more only wait for each other.
THREADS = 2


class Bare(msgspec.Struct, frozen=True, kw_only=True):
    """Transactions per second of each client count, and the best."""

    by_clients: dict[str, float]
    best: float


def prepare(database: Database) -> None:
    """Make the yardstick's own database, unless it is there."""
    if database.value("SELECT count(*) FROM pg_database WHERE datname = %(name)s", name=NAME):
        return
    program(database.url, "createdb", NAME, database="postgres")
    program(database.url, "pgbench", "--initialize", "--quiet", f"--scale={SCALE}", database=NAME)


def run(database: Database, seconds: int) -> Bare:
    """Measure each client count for `seconds`, with prepared statements: pgbench at its fastest."""
    prepare(database)
    database.calm_down()
    found = {str(clients): _per_second(database, clients, seconds) for clients in CLIENTS}
    return Bare(by_clients=found, best=max(found.values()))


def _per_second(database: Database, clients: int, seconds: int) -> float:
    output = program(
        database.url,
        "pgbench",
        f"--client={clients}",
        f"--jobs={THREADS}",
        f"--time={seconds}",
        "--protocol=prepared",
        "--no-vacuum",
        database=NAME,
    )
    match = re.search(r"tps = ([\d.]+)", output)
    if match is None:
        raise RuntimeError(f"pgbench printed no tps: {output}")
    return round(float(match[1]), 1)
