"""The first and the last line of a process, whatever ends it. Each test starts real ones."""

import getpass
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from process import GARBAGE_THRESHOLDS, account, version

ROOT = Path(__file__).parents[1]
END_SECONDS_MAX = 30
WAITS = "print('waiting', flush=True); import time; time.sleep(60)"


def start(block: str, **environment: str) -> subprocess.Popen[str]:
    """Start a process whose block does this."""
    program = f"import process\nwith process.running('trial') as config:\n    {block}"
    argv = [sys.executable, "-c", program]
    clean = {"PATH": os.environ["PATH"]} | environment
    return subprocess.Popen(argv, cwd=ROOT, env=clean, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def end(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    """Wait for the end; return the exit status and the lines of the log."""
    said, _ = process.communicate(timeout=END_SECONDS_MAX)
    return process.returncode, [msgspec.json.decode(line) for line in said.splitlines()]


@pytest.mark.parametrize(
    ("block", "environment", "status", "events"),
    [
        ("pass", {}, 0, ["started", "stopped"]),
        ("raise SystemExit(3)", {}, 3, ["started", "stopped"]),
        ("1 / 0", {}, 1, ["started", "stopped", "process died"]),
        ("import settings; settings.require(config, 'seal_key')", {}, 1, ["started", "cannot run", "stopped"]),
        ("pass", {"API_PORT": "eighty"}, 1, ["cannot run"]),
        ("pass", {"TOKEN_KEY": "short"}, 1, ["cannot run"] * 2),
    ],
)
def test_a_process_says_that_it_starts_and_why_it_stops(
    block: str, environment: dict[str, str], status: int, events: list[str]
) -> None:
    found, lines = end(start(block, **environment))

    assert [line["event"] for line in lines] == events
    assert found == status


def test_the_first_line_says_which_version_of_what_it_is() -> None:
    _, (started, _) = end(start("pass"))

    assert started.pop("timestamp")
    assert started == {
        "level": "info",
        "event": "started",
        "process": "trial",
        "version": version(),
        "mode": "production",
    }


def test_a_setting_that_is_wrong_is_named_without_its_value() -> None:
    _, [line] = end(start("pass", TOKEN_KEY="a-secret-too-short"))

    assert line["error"] == "TOKEN_KEY has 18 bytes; it needs 32 to 64"


def test_a_process_that_is_asked_to_stop_says_so_at_last() -> None:
    process = start(WAITS)
    assert process.stdout is not None
    assert process.stdout.readline()
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGTERM)

    status, [line] = end(process)

    assert (status, line["event"]) == (0, "stopped")


def test_what_is_there_when_work_begins_is_left_out_of_the_search_for_garbage() -> None:
    show = "json.dumps({'frozen': gc.get_freeze_count(), 'thresholds': gc.get_threshold()})"

    status, lines = end(start(f"process.collect_rarely(); import gc, json; print({show}, flush=True)"))

    assert status == 0
    assert lines[1]["frozen"] > 10_000
    assert tuple(lines[1]["thresholds"]) == GARBAGE_THRESHOLDS


def test_a_quiet_process_is_searched_through_often_however_much_it_has_loaded() -> None:
    block = (
        "import gc, json, weakref",
        "class Node: pass",
        "process.collect_often()",
        "node = Node(); node.itself = node; known = weakref.ref(node)",
        "gc.collect(1)  # It is in use, and old from now on.",
        "del node",
        "for _ in range(1_000): circle = []; circle.append(circle)",
        "print(json.dumps({'is_there': known() is not None}), flush=True)",
    )

    status, lines = end(start("\n    ".join(block)))

    assert status == 0
    assert lines[1] == {"is_there": False}


def test_an_account_without_a_name_is_known_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError(os.getuid())

    assert account() == getpass.getuser()
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert account() == str(os.getuid())
