"""The foreground command `tekana run`: start, say where, supervise until a signal, stop."""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from local import demo, environment, flower
from local.errors import LocalError, StackError
from local.stack import Stack
from settings import SettingsError

# One Ctrl-C may arrive twice: from the terminal and from `make`, which passes signals on.
SECOND_SIGNAL_SECONDS_MIN = 0.5


class StopAsked(BaseException):
    """A signal asked us to stop; not an Exception, so that nothing on the way swallows it."""


def run() -> None:
    """Run the whole system until SIGINT, SIGTERM or SIGHUP.

    Raises:
        SystemExit: with a sentence, when it cannot start.

    """
    try:
        data_dir = environment.given(os.environ).data_dir
        stack = Stack(data_dir, say=_say)
    except (LocalError, SettingsError) as error:
        raise SystemExit(f"tekana: {error}") from error
    signals = _Signals(stack)
    signals.install()
    try:
        _start_and_wait(stack, data_dir)
    except StopAsked:
        _say("stopping (Ctrl-C again kills)")
    except LocalError as error:
        raise SystemExit(f"tekana: {error}") from error
    finally:
        signals.is_stopping = True
        stack.stop()
        _say("stopped")


def _start_and_wait(stack: Stack, data_dir: Path) -> None:
    _say(f"starting, with data and logs in {data_dir}")
    stack.start()
    demo.fill(stack)
    flower.introduce_workers(stack)
    user = stack.env["FLOWER_USER"]
    _say(
        f"ready: api {stack.api_url}  docs {stack.api_url}/docs  "
        f"flower {stack.flower_url} (user {user}, password in {data_dir / 'demo.json'})"
    )
    stack.wait()
    raise StackError("the supervision ended by itself, and with it everything else")


class _Signals:
    """The first signal stops in order; another Ctrl-C kills."""

    def __init__(self, stack: Stack) -> None:
        self.is_stopping = False
        self._stack = stack
        self._first_at = 0.0

    def install(self) -> None:
        signal.signal(signal.SIGINT, self._hear)
        signal.signal(signal.SIGTERM, self._hear)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # As nohup(1) asks.
            signal.signal(signal.SIGHUP, self._hear)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.is_stopping:
            self.is_stopping, self._first_at = True, now
            raise StopAsked
        if number == signal.SIGINT and now - self._first_at > SECOND_SIGNAL_SECONDS_MIN:
            self._stack.kill_all()


def _say(text: str) -> None:
    """Print one line; a reader that has gone (`| head`, a closed terminal) must not stop the system."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
