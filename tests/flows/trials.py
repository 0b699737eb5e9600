"""The table of what is tried: each row with its test, and how often. The one place where these numbers stand."""

import math
import os
from random import Random
from typing import NamedTuple

from tests.flows.seeds import draw

IS_FULL = os.environ.get("FAULTS") == "full"
TIMES = int(os.environ.get("FAULT_TRIALS") or "0")  # Of each row's smallest number; 0: as the rows have it.


class Row(NamedTuple):
    test: str
    full: int  # Trials of `make faults-full`.
    quick: int = 1  # Of `make faults` and of every run of all tests.
    is_one: bool = False  # One test makes all the trials, and says how many it made.
    away_seconds_max: float = math.inf  # From the strike until the system is ready again.
    is_unnoticed: bool = False  # Clients are accepted all the time, each of them and as quickly as before.

    @property
    def trials(self) -> int:
        if TIMES:
            return min(self.full, max(self.quick, 1) * TIMES)
        return self.full if IS_FULL else self.quick


FAULT = "test_faults.py::test_no_job_is_lost_or_doubled_or_late_when"
NETWORK = "test_network.py::test_no_job_is_lost_or_doubled_or_late_on_a_network_where"
PACKETS = "test_packets.py::test_no_job_is_lost_or_doubled_or_late_when_packets_are_lost"
BROKER = "test_broker_down.py::test_without_redis_jobs_are_accepted_quickly_and_settled_by_the_sweeper"
ROWS = {
    "the worker is killed": Row(FAULT, 300),
    "the worker's pool child is killed": Row(FAULT, 200),
    "the worker is frozen beside another": Row(FAULT, 20),
    "the sweeper and the worker are killed": Row(FAULT, 50),
    "the webhook worker is killed": Row(FAULT, 50),
    "the API is killed": Row(FAULT, 200),
    "the API is frozen": Row(FAULT, 20),
    "Redis is killed": Row(FAULT, 50, is_unnoticed=True),
    "Redis is killed and wiped": Row(FAULT, 50, is_unnoticed=True),
    "Redis is flushed": Row(FAULT, 20, is_unnoticed=True),
    "Redis is frozen": Row(FAULT, 20, is_unnoticed=True),
    "Redis's connections are killed": Row(FAULT, 20, is_unnoticed=True),
    "PostgreSQL is killed": Row(FAULT, 50),
    "PostgreSQL is frozen": Row(FAULT, 20),
    "PostgreSQL's sessions are terminated, five times": Row(FAULT, 100),
    "everything is killed": Row(FAULT, 30, away_seconds_max=30.0),
    "Redis stays down for half a minute": Row(BROKER, 3),
    "Redis stays down for ten minutes": Row(BROKER, 3, quick=0),
    "each process is stopped in turn": Row(
        "test_rolling_stop.py::test_a_rolling_stop_ends_each_process_in_time_and_fails_no_job", 50
    ),
    # Trials are releases; those before need a library that this one does not.
    "releases follow, each with its schema": Row(
        "test_upgrade.py::test_no_job_is_lost_or_doubled_or_late_when_releases_follow", 2, quick=0, is_one=True
    ),
    "a job kills its worker each time": Row("test_poison.py::test_a_job_that_always_kills_its_worker_fails_alone", 3),
    "a job cannot be read at all": Row("test_poison.py::test_a_payload_that_no_worker_can_read_fails_alone", 3),
    "64 clients use one key at once": Row(
        "test_contention.py::test_a_key_that_all_clients_use_at_once_is_one_job", 1_000, quick=2
    ),
    "64 clients spend the same money": Row(
        "test_contention.py::test_a_wallet_pays_exactly_as_often_as_its_balance_allows", 200, quick=10
    ),
    "32 clients pay across four wallets": Row(
        "test_contention.py::test_crossing_transfers_never_deadlock", 100_000, quick=2_000, is_one=True
    ),
    "rings are repeated, shuffled, bogus, malformed, pickled, huge": Row(
        "test_rings.py::test_no_ring_settles_a_job_twice_or_stops_a_worker", 50_000, quick=500, is_one=True
    ),
    "random movements, against a model": Row(
        "test_ledger_model.py::test_the_ledger_behaves_as_its_model", 2_000, quick=30, is_one=True
    ),
    "the workers' way to PostgreSQL is slow and loses packets": Row(NETWORK, 20),
    "the workers are cut off from PostgreSQL": Row(NETWORK, 20),
    "the API is cut off from PostgreSQL": Row(NETWORK, 20),
    "everybody is cut off from Redis": Row(NETWORK, 20, is_unnoticed=True),
    "everybody's way to Redis is slow and loses packets": Row(NETWORK, 20),
    "the clients' connections break": Row(NETWORK, 20),
    "no packet gets from the workers to PostgreSQL": Row(PACKETS, 20, quick=0),
    "no packet gets from the API to PostgreSQL": Row(PACKETS, 20, quick=0),
    "no packet gets to Redis": Row(PACKETS, 20, quick=0, is_unnoticed=True),
    "one packet in ten is lost, everywhere": Row(PACKETS, 20, quick=0),
    "the processes' clocks step": Row(
        "test_clock.py::test_no_job_is_lost_or_doubled_or_late_when_clocks_step", 20, quick=0
    ),
    "the disk is full": Row("test_disk.py::test_no_job_is_lost_or_doubled_or_late_when_the_disk_is_full", 10, quick=0),
}


class Case(NamedTuple):
    """One trial of a row; a test that makes all of them gets their number instead."""

    row: str
    number: int

    @property
    def draw(self) -> Random:
        """What this trial draws, whatever else is run."""
        return draw(self.row, self.number)

    def __str__(self) -> str:
        return f"{slug(self.row)}-{self.number}"


def cases(test: str) -> list[Case]:
    """Return what the run tries by this test, row after row."""
    rows = [(name, row) for name, row in ROWS.items() if row.test == test]
    return [
        Case(name, number)
        for name, row in rows
        for number in (range(row.trials) if not row.is_one else [row.trials] if row.trials else [])
    ]


def slug(row: str) -> str:
    """Return a row's name as `pytest -k` takes it."""
    return "".join(letter for letter in row.lower().replace(" ", "-") if letter.isalnum() or letter == "-")
