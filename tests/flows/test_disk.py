"""The disk is full: nothing is accepted that is not kept, and all goes on when there is room again."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from sqlalchemy.exc import DBAPIError

from tests.conftest import reachable_folder
from tests.flows.conftest import Recorder, running
from tests.flows.strikes import struck
from tests.flows.trials import Case
from tests.flows.world import World

pytestmark = pytest.mark.alone

DISK_MEGABYTES = 400  # A cluster is 50, and the write-ahead log of a trial as much.
CHUNK_BYTES = 2**20
FULL_SECONDS = (2.0, 6.0)
RECOVERY_SECONDS_MAX = 30.0
LOOK_SECONDS = 0.1


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """Mount a small disk, which PostgreSQL's account reaches."""
    with reachable_folder() as folder:
        _run("mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m,mode=0711", "tmpfs", str(folder))
        yield folder
        _run("umount", "--lazy", str(folder))


@pytest.fixture(scope="module")
def small(disk: Path) -> Iterator[World]:
    """A world with its servers' data and its logs on that disk."""
    with running(folder=disk / "data") as world:
        yield world


@pytest.mark.skipif(os.geteuid() != 0, reason="a disk of a test's own can only be mounted by root")
def test_no_job_is_lost_or_doubled_or_late_when_the_disk_is_full(
    trial: Case, small: World, disk: Path, recorder: Recorder
) -> None:
    def fill(world: World, draw: Random) -> datetime:
        ballast = disk / "ballast"
        _fill(ballast)
        time.sleep(draw.uniform(*FULL_SECONDS))
        _fill(ballast)  # What was freed in the meantime.
        time.sleep(draw.uniform(*FULL_SECONDS))
        ballast.unlink()
        _wait_answering(world)
        return datetime.now(UTC)

    figures, broken = struck(small, trial, fill)
    recorder(figures)
    assert broken == []


def _fill(ballast: Path) -> None:
    """Take all the room that there is."""
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while file.write(b"\0" * CHUNK_BYTES):
            pass


def _wait_answering(world: World) -> None:
    """Wait for PostgreSQL, which ends itself when it cannot write its log, and recovers when it can."""
    deadline = time.monotonic() + RECOVERY_SECONDS_MAX
    while True:
        with contextlib.suppress(DBAPIError), world.tx():
            return
        assert time.monotonic() < deadline, "PostgreSQL does not recover"
        time.sleep(LOOK_SECONDS)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)
