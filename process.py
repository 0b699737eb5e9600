"""What every process of the system does first and last: settings, logs, and a line that says which version it is."""

import gc
import getpass
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata

import structlog

import logs
from settings import Settings, SettingsError, read, settings

# Python looks for cycles each 700 objects that it makes, through thousands of modules' objects that stay for good: a
# quarter of a worker's time in a batch. Cycles are rare here; 50,000 objects are a few megabytes. What is in use when
# it is looked at is looked at again with every 20th search, then, at the earliest, with every 100th: libraries leave
# cycles where a connection fails, and those of requests that were under way would stay for minutes otherwise.
GARBAGE_THRESHOLDS = (50_000, 20, 5)
# A worker's parent makes a cycle or two in a second. By Python's own thresholds, 700 objects and 70,000 for a full one,
# they lie for hours, 0.8 MB in each. There is so little to search beside what it has loaded that it may do so often.
QUIET_GARBAGE_THRESHOLDS = (50, 2, 1)

log = structlog.get_logger()


@contextmanager
def running(name: str, *needed: str) -> Iterator[Settings]:
    """Be the process `name`, until the block ends or SIGTERM ends it. The `needed` settings may not be empty.

    Raises:
        SystemExit: it cannot start, or not go on; a line of the log for each reason says why.

    """
    try:
        read(os.environ, *needed)  # All that is wrong or missing, at once.
        config = settings()
    except SettingsError as error:
        logs.configure(Settings())  # As production has it: what was asked for cannot be read.
        _give_up(name, error)
    logs.configure(config)
    # By default a signal ends a process on the spot. uvicorn and others put theirs in its place while they run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    log.info("started", process=name, version=version(), mode=config.mode)
    try:
        yield config
    except SettingsError as error:
        _give_up(name, error)
    finally:
        log.info("stopped", process=name, version=version())


def _give_up(name: str, error: SettingsError) -> None:
    for reason in error.reasons:
        log.critical("cannot run", process=name, version=version(), error=reason)
    sys.exit(1)


def collect_rarely() -> None:
    """Leave what has been loaded out of the search for garbage, and search less often. For when work begins."""
    leave_out_what_is_loaded()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def collect_often() -> None:
    """Leave what has been loaded out of the search for garbage, and search often. For a process that does little."""
    leave_out_what_is_loaded()
    gc.set_threshold(*QUIET_GARBAGE_THRESHOLDS)


def leave_out_what_is_loaded() -> None:
    """Let the search for garbage pass by all that is there now.

    Python searches everything only when a quarter of it is new. It counts thousands of modules' objects among the rest
    until a second search, which finds them set aside.
    """
    gc.collect()
    gc.freeze()
    gc.collect()


def account() -> str:
    """Return the name of the account that this process runs as; its number where nobody has named it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@lru_cache(maxsize=1)
def version() -> str:
    """Return the version that is installed; a folder that nothing installed has none."""
    try:
        return metadata.version("tekana")
    except metadata.PackageNotFoundError:
        return "unknown"
