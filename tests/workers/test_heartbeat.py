"""A heartbeat is made by work that ended well, and by nothing else."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from celery.signals import after_task_publish, beat_init, task_failure, task_success

from domain.jobs import Queue
from local.stack import Stack
from workers import heartbeat

START_SECONDS_MAX = 60.0  # Workers begin to listen two seconds after the API answers.


@pytest.fixture
def task(heartbeats: Path) -> Any:
    from workers.app import app  # noqa: PLC0415 - reads the settings, which only `heartbeats` has made

    assert not heartbeats.exists()
    app.loader.import_default_modules()
    return app.tasks["wallets.settle"]


def test_in_a_running_system_each_worker_and_clock_has_a_heartbeat_of_its_own(stack: Stack) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    expected = sorted(["beat", "sweeper", *(f"worker-{queue}" for queue in Queue)])
    while beating(stack.data_dir / "heartbeat") != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert beating(stack.data_dir / "heartbeat") == expected


def test_a_task_that_succeeded_is_its_queues_heartbeat(heartbeats: Path, task: Any) -> None:
    task_success.send(sender=task, result={})
    assert beating(heartbeats) == ["worker-wallets"]


def test_a_task_that_failed_is_none(heartbeats: Path, task: Any) -> None:
    task_failure.send(sender=task, exception=OSError())
    assert beating(heartbeats) == []


def test_what_beat_asks_for_is_its_heartbeat_and_what_others_publish_is_not(heartbeats: Path) -> None:
    after_task_publish.send(sender="wallets.settle")
    assert beating(heartbeats) == []
    try:
        beat_init.send(sender=None)
        (heartbeats / "beat").unlink()
        after_task_publish.send(sender="maintenance.fold")
    finally:
        after_task_publish.disconnect(heartbeat.asked)
    assert beating(heartbeats) == ["beat"]


def test_silence_lasts_since_the_latest_heartbeat_and_for_ever_before_the_first(heartbeats: Path) -> None:
    assert heartbeat.silence_seconds("sweeper") == float("inf")
    heartbeat.touch("sweeper")
    assert -1 < heartbeat.silence_seconds("sweeper") < 60
    earlier = time.time() - 1_000
    os.utime(heartbeats / "sweeper", (earlier, earlier))
    assert 999 < heartbeat.silence_seconds("sweeper") < 1_060


def test_without_a_place_for_heartbeats_work_goes_on(heartbeats: Path) -> None:
    heartbeats.write_text("in the way")
    heartbeat.touch("sweeper")
    assert heartbeat.silence_seconds("sweeper") == float("inf")


def beating(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
