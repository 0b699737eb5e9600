"""`python -m workers worker|beat|flower ...`: Celery's own commands, with our logs from the first line to the last.

Each is loaded by itself: `celery` loads all of them and its shell, which costs a worker 0.7 s of CPU at each start.
"""

import os
import sys
from itertools import pairwise
from pkgutil import resolve_name

import celery.apps.worker
import click
from celery.bin.base import CLIContext

import db.roles
import process
import safety
import tracing
from db.engine import engine
from db.roles import Side
from settings import Settings, SettingsError

COMMANDS = {"worker": "celery.bin.worker:worker", "beat": "celery.bin.beat:beat", "flower": "flower.command:flower"}

NEEDED = {"worker": ("database_worker_url",)}


class Commands(click.Group):
    """Loads the command that is asked for."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        return resolve_name(COMMANDS[cmd_name]) if cmd_name in COMMANDS else None


def main() -> None:
    """Run the command that stands on the command line.

    Raises:
        SystemExit: always; Celery says with which status.

    """
    # What signal handlers say to people, past all logging; `running` says it in a line of the log.
    celery.apps.worker.safe_say = lambda *_: None  # type: ignore[attr-defined] # its types leave it out
    _, *arguments = sys.argv
    with process.running(_name(arguments), *NEEDED.get(arguments[0] if arguments else "", ())) as config:
        _refuse_unsafe(config, arguments)
        from workers.app import app  # noqa: PLC0415 - reads the settings, which must have been found good

        if config.tracing:
            tracing.loaded()  # Celery only logs what goes wrong in its signals, where children begin to trace.
        # Quiet: without the banners.
        context = CLIContext(app=app, no_color=True, workdir=None, quiet=True)
        Commands("workers").main(arguments, obj=context)


def _refuse_unsafe(config: Settings, arguments: list[str]) -> None:
    command, *options = arguments or [""]
    if command == "worker":
        db.roles.refuse_unsafe(config, {"database_worker_url": Side.WORKER})
        engine(config.database_worker_url).dispose()  # Children, which work, have engines of their own.
    if command == "flower":
        found = list(safety.of_flower(options, os.environ, is_production=config.is_production))
        if found:
            raise SettingsError(*found)


def _name(arguments: list[str]) -> str:
    """Return the command, and of a worker its queues: `worker-transactions`."""
    command, *options = arguments or ["workers"]
    queues = [queue for option, queue in pairwise(options) if option in {"-Q", "--queues"}]
    return "-".join([command, *queues])


if __name__ == "__main__":
    main()
