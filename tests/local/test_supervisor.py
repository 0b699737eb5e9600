import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from local import leftovers
from local.child import Child
from local.supervisor import Supervisor

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
SECONDS_MAX = 30.0  # For what takes milliseconds, on a machine that does other things too.
SLEEP = "import time; time.sleep(60)"
# Announces itself, and writes its name down when it is asked to stop.
POLITE = """
    import pathlib, signal, sys, time
    def leave(*_):
        with open("stopped", "a") as file:
            file.write("NAME ")
        sys.exit(0)
    signal.signal(signal.SIGTERM, leave)
    pathlib.Path("NAME.up").touch()
    while True:
        time.sleep(60)
"""
DEAF = """
    import pathlib, signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pathlib.Path("NAME.up").touch()
    time.sleep(60)
"""
PARENT = """
    import pathlib, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pathlib.Path("grandchild").write_text(str(child.pid))
    time.sleep(60)
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path, say=lambda _: None)
    yield supervisor
    supervisor.stop()


def test_a_killed_child_is_started_again_under_another_pid(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(_child("a", SLEEP, tmp_path))
    assert supervisor.run_once() == ["a"]
    old_pid = supervisor.pid("a")
    os.kill(old_pid, signal.SIGKILL)
    assert _soon(supervisor.run_once, seconds_max=2) == ["a"]
    assert supervisor.pid("a") != old_pid


def test_a_child_can_be_had_back_to_run_another_like_it(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(_child("a", SLEEP, tmp_path))
    supervisor.add(msgspec.structs.replace(supervisor.child("a"), name="b"))
    assert supervisor.run_once() == ["a", "b"]
    assert supervisor.pid("a") != supervisor.pid("b")


def test_a_child_that_lives_is_left_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(_child("a", SLEEP, tmp_path))
    supervisor.run_once()
    assert supervisor.run_once() == []


def test_a_child_that_cannot_start_is_tried_again_ever_later(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(_child("a", "raise SystemExit(1)", tmp_path))
    _soon(lambda: supervisor.run_once() and supervisor.early_deaths("a") >= 3)
    busy_until = time.monotonic() + 0.5
    starts = 0
    while time.monotonic() < busy_until:
        starts += len(supervisor.run_once())
        time.sleep(0.01)
    assert starts <= 2


def test_a_program_that_does_not_exist_is_told_in_the_log(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(Child(name="a", argv=("/nowhere/a",), env={}, cwd=tmp_path, stage=0))
    supervisor.run_once()
    assert _soon(lambda: "No such file" in supervisor.log_tail("a"))


def test_only_we_may_read_a_log_also_one_that_was_there(supervisor: Supervisor, tmp_path: Path) -> None:
    earlier = tmp_path / "log" / "b.log"
    earlier.touch(mode=0o644)
    for name in ("a", "b"):
        supervisor.add(_child(name, SLEEP, tmp_path))
    supervisor.run_once()
    assert [stat.S_IMODE((tmp_path / "log" / f"{name}.log").stat().st_mode) for name in ("a", "b")] == [0o600] * 2


def test_a_held_child_stays_down_until_it_is_released(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(_child("a", SLEEP, tmp_path))
    supervisor.run_once()
    supervisor.hold("a")
    os.kill(supervisor.pid("a"), signal.SIGKILL)
    _soon(lambda: not supervisor.run_once() and not supervisor.is_running("a"))
    assert supervisor.run_once() == []
    supervisor.release("a")
    assert supervisor.run_once() == ["a"]


def test_what_a_dead_child_had_started_dies_with_it(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(_child("a", PARENT, tmp_path))
    supervisor.run_once()
    assert _soon(lambda: (tmp_path / "grandchild").exists() and (tmp_path / "grandchild").read_text())
    grandchild = int((tmp_path / "grandchild").read_text())
    os.kill(supervisor.pid("a"), signal.SIGKILL)
    _soon(supervisor.run_once)
    assert _soon(lambda: not _is_alive(grandchild))


def test_children_stop_by_stage_the_highest_first(supervisor: Supervisor, tmp_path: Path) -> None:
    for stage, name in enumerate(("database", "queue", "worker")):
        supervisor.add(_child(name, POLITE, tmp_path, stage=stage))
    supervisor.run_once()
    _soon(lambda: len(list(tmp_path.glob("*.up"))) == 3)
    supervisor.stop()
    assert (tmp_path / "stopped").read_text() == "worker queue database "
    assert list((tmp_path / "run").iterdir()) == []


def test_a_child_that_does_not_listen_is_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(_child("a", DEAF, tmp_path, kill_after_seconds=0.3))
    supervisor.run_once()
    _soon((tmp_path / "a.up").exists)
    pid = supervisor.pid("a")
    supervisor.stop()
    assert not _is_alive(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells a child that its parent died")
def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    pid, supervisor = _supervised_elsewhere(tmp_path)
    supervisor.kill()
    supervisor.wait()
    assert _soon(lambda: not _is_alive(pid))


def test_what_a_killed_supervisor_left_running_is_stopped(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", SLEEP)
    left = subprocess.Popen(argv, start_new_session=True)
    leftovers.remember(_run_dir(tmp_path), "a", left.pid, argv)
    _soon(lambda: leftovers.command(left.pid) == " ".join(argv))
    assert leftovers.stop_all(_run_dir(tmp_path), {}) == ["a"]
    assert left.wait(SECONDS_MAX) == -signal.SIGTERM


def test_a_stranger_with_a_remembered_pid_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen((sys.executable, "-c", SLEEP), start_new_session=True)
    leftovers.remember(_run_dir(tmp_path), "a", stranger.pid, ("/usr/bin/other",))
    assert leftovers.stop_all(_run_dir(tmp_path), {}) == []
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def _child(name: str, code: str, folder: Path, *, stage: int = 0, kill_after_seconds: float = SECONDS_MAX) -> Child:
    return Child(
        name=name,
        argv=(sys.executable, "-c", textwrap.dedent(code).replace("NAME", name)),
        env={},
        cwd=folder,
        stage=stage,
        kill_after_seconds=kill_after_seconds,
    )


def _supervised_elsewhere(folder: Path) -> tuple[int, subprocess.Popen[bytes]]:
    """Return a child's pid and its supervisor, a process of its own."""
    code = f"""
        import pathlib, sys
        from local.child import Child
        from local.supervisor import Supervisor
        supervisor = Supervisor(pathlib.Path({str(folder)!r}), say=lambda _: None)
        argv = (sys.executable, "-c", {SLEEP!r})
        supervisor.add(Child(name="a", argv=argv, env={{}}, cwd=pathlib.Path("/"), stage=0))
        supervisor.run()
    """
    process = subprocess.Popen((sys.executable, "-c", textwrap.dedent(code)), cwd=ROOT)
    pid_file = folder / "run" / "a.pid"
    _soon(pid_file.exists)
    pid = int(pid_file.read_text())
    _soon(lambda: SLEEP in leftovers.command(pid) and "launch.py" not in leftovers.command(pid))
    return pid, process


def _run_dir(folder: Path) -> Path:
    (folder / "run").mkdir(exist_ok=True)
    return folder / "run"


def _is_alive(pid: int) -> bool:
    return bool(leftovers.command(pid))


def _soon(look: Callable[[], T], seconds_max: float = SECONDS_MAX) -> T:
    """Look until there is something to see, and return it."""
    deadline = time.monotonic() + seconds_max
    while not (seen := look()):
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)
    return seen
