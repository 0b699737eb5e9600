"""What a part of the benchmark finds: the whole system on servers of its own, customers, a yardstick."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import bare
from bench.bank import Bank
from bench.bare import Bare
from bench.database import Database
from bench.options import Options
from local.stack import Stack

GIVEN = {"DATABASE_URL", "DATABASE_URL_FILE", "REDIS_URL", "REDIS_URL_FILE"}  # Measured are servers of our own.
SETTINGS = {
    "API_PORT": "0",
    "FLOWER_PORT": "0",
    "LOG_FORMAT": "json",  # Logs as in production: text costs more.
    "QUEUE_JOBS_MAX": "0",  # What is queued counts when it is settled; refusing is measured by `overload`.
    "QUEUE_AGE_SECONDS_MAX": "0",
    "ACCESS_TOKEN_SECONDS": "86400",  # Who is logged in stays so until the last part has ended.
}


class Scene:
    """`peak_per_second` is what the system settles at most, once a part has found it."""

    def __init__(self, stack: Stack, database: Database, options: Options, say: Callable[[str], None]) -> None:
        self.stack = stack
        self.database = database
        self.options = options
        self.say = say
        self.bank = Bank(stack, database, customers=options.customers, callers=options.callers)
        self.peak_per_second = 0.0

    def yardstick(self) -> Bare:
        """Run pgbench now: every part that compares does so beside its own runs."""
        found = bare.run(self.database, self.options.bare_seconds)
        self.say(f"  pgbench {found.best:,.0f} /s")
        return found


@contextlib.contextmanager
def opened(
    options: Options, say: Callable[[str], None], prepare: Callable[[Stack], None] | None = None, **changed: str
) -> Iterator[Scene]:
    """Start everything as `make run` does, with settings so `changed`, in a folder that is thrown away at the end.

    `prepare` finds the servers, migrated, before any process of ours looks at them.
    """
    environment = {name: value for name, value in os.environ.items() if name not in GIVEN}
    with contextlib.ExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="tekana-bench-")))
        folder.chmod(0o711)
        stack = resources.enter_context(Stack(folder, environment | SETTINGS | changed, say=say))
        stack.start_servers()
        stack.migrate()
        if prepare is not None:
            prepare(stack)
        stack.start_processes()
        stack.wait_ready()
        database = resources.enter_context(contextlib.closing(Database(stack.database_url)))
        say(f"registering {options.customers:,} customers with wallets")
        yield Scene(stack, database, options, say)
