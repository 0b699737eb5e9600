"""A process is restarted when it does not do the work that waits for it, and for nothing else."""

import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

import alive
from db.engine import transaction
from domain.jobs import Kind, Queue
from local import ports, processes
from local.stack import Stack
from settings import Settings, settings
from tests.committed import queued
from tests.made import submission
from workers import bell, heartbeat

WALLETS = ["python", "-m", "workers", "worker", "-Q", "wallets"]
MAINTENANCE = [*WALLETS[:-1], "maintenance"]
SWEEPER = ["/sbin/docker-init", "--", "python", "-m", "workers.sweeper"]
BEAT = ["python", "-m", "workers", "beat"]
API, FLOWER = ["python", "-m", "api"], ["python", "-m", "workers", "flower", "--url_prefix=flower"]
NOWHERE = "postgresql+psycopg://tekana_worker:gone@127.0.0.1:1/tekana"


@pytest.fixture
def config(url: str, heartbeats: Path) -> Settings:
    """An empty database and an empty broker, and nobody who has finished anything."""
    assert url
    assert not heartbeats.exists()
    return settings()


def test_a_worker_that_has_nothing_to_do_may_be_silent(config: Settings) -> None:
    assert alive.complaint(WALLETS, config) == ""


@pytest.mark.parametrize("wait", ["an overdue job", "a message"])
def test_a_worker_that_is_silent_while_work_waits_is_not_alive(config: Settings, wait: str) -> None:
    _leave(wait, config)
    assert alive.complaint(WALLETS, config) == "work waits in wallets, and this worker has finished none for inf s"


@pytest.mark.parametrize("wait", ["an overdue job", "a message"])
def test_a_worker_that_finishes_something_is_alive_however_much_waits(config: Settings, wait: str) -> None:
    _leave(wait, config)
    heartbeat.touch("worker-wallets")
    assert alive.complaint(WALLETS, config) == ""


def test_a_worker_answers_for_its_own_queue_only(config: Settings) -> None:
    _leave("an overdue job", config)
    assert alive.complaint([*WALLETS[:-1], "customers"], config) == ""


def test_a_job_that_waits_for_less_than_a_minute_is_no_sign_of_anything(config: Settings) -> None:
    queued(config.database_url, submission(Kind.WALLET_OPEN))
    assert alive.complaint(WALLETS, config) == ""


def test_housekeeping_that_was_asked_for_and_is_not_done_is_a_sign(config: Settings) -> None:
    assert alive.complaint(MAINTENANCE, config) == ""
    bell.announce(Queue.MAINTENANCE, 1, submission().id)
    assert alive.complaint(MAINTENANCE, config).startswith("work waits in maintenance")


def test_no_restart_mends_a_broker_that_is_away(config: Settings, outage: ExitStack) -> None:
    _leave("an overdue job", config)
    assert [alive.complaint(command, config) for command in (WALLETS, BEAT)] == ["", ""]
    outage.close()
    assert all(alive.complaint(command, config) for command in (WALLETS, BEAT))


def test_no_restart_mends_a_database_that_is_away(config: Settings) -> None:
    away = msgspec.structs.replace(config, database_worker_url=NOWHERE)
    assert [alive.complaint(command, away) for command in (WALLETS, SWEEPER)] == ["", ""]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (SWEEPER, "the database answers, and this sweeper has not swept for"),
        (BEAT, "the broker answers, and beat has asked for nothing for"),
    ],
    ids=["sweeper", "beat"],
)
def test_the_clocks_are_alive_as_long_as_they_tick(config: Settings, command: list[str], sentence: str) -> None:
    assert alive.complaint(command, config).startswith(sentence)
    name = command[-1].removeprefix("workers.")
    heartbeat.touch(name)
    assert alive.complaint(command, config) == ""
    _fall_silent(config.data_dir / "heartbeat" / name, alive.BEAT_SILENCE_SECONDS_MAX + 10)
    assert re.fullmatch(f"{sentence} 19[0-9] s", alive.complaint(command, config))


def test_a_server_is_alive_when_it_answers(config: Settings) -> None:
    nobody = ports.free()
    mute = msgspec.structs.replace(config, api_port=nobody, flower_port=nobody)
    assert alive.complaint(API, mute).startswith(f"http://127.0.0.1:{nobody}/health/live does not answer")
    assert alive.complaint(FLOWER, mute).startswith(f"http://127.0.0.1:{nobody}/flower/healthcheck does not answer")


def test_a_command_that_is_none_of_ours_is_left_alone(config: Settings) -> None:
    assert alive.complaint(["tekana", "migrate"], config) == ""


def test_every_process_of_a_running_system_is_alive_with_no_more_secrets_than_it_has(stack: Stack) -> None:
    """Each is judged by its own command, in its own environment, as a probe in its container does."""
    found = {}
    for child in processes.children(stack.env, stack.data_dir):
        judge = [sys.executable, "-c", f"import alive; alive.main({child.argv!r})"]
        done = subprocess.run(judge, env=child.env, cwd=child.cwd, capture_output=True, text=True, check=False)
        found[child.name] = (done.returncode, done.stderr)
    assert found == dict.fromkeys(found, (0, ""))


def test_what_is_wrong_is_said_and_the_exit_status_tells(config: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    _leave("a message", config)
    with pytest.raises(SystemExit, match="alive: work waits in wallets"):
        alive.main(WALLETS)
    alive.main(["tekana", "migrate"])
    assert capsys.readouterr().out == ""


def _leave(wait: str, config: Settings) -> None:
    """Leave something to do in the queue of wallets."""
    if wait == "a message":
        bell.announce(Queue.WALLETS, 1, submission().id)
        return
    queued(config.database_url, submission(Kind.WALLET_OPEN))
    with transaction(config.database_url) as tx:
        tx.execute(
            text("UPDATE jobs SET due_at = now() - make_interval(secs => :s)"), {"s": alive.SILENCE_SECONDS_MAX + 10}
        )


def _fall_silent(path: Path, seconds: float) -> None:
    at = time.time() - seconds
    os.utime(path, (at, at))
