"""`python -m workers worker|beat|flower ...`: Celery's own commands, with our logs from the first line to the last."""

import sys
from itertools import pairwise

import celery.apps.worker
from celery.bin.celery import celery as commands

import process


def main() -> None:
    """Run the command that stands on the command line.

    Raises:
        SystemExit: always; Celery says with which status.

    """
    # What signal handlers say to people, past all logging; `running` says it in a line of the log.
    celery.apps.worker.safe_say = lambda *_: None  # type: ignore[attr-defined] # its types leave it out
    _, *arguments = sys.argv
    with process.running(_name(arguments)):
        # Quiet: without the banners.
        commands.main(["--quiet", "--app", "workers.app", *arguments], auto_envvar_prefix="CELERY")


def _name(arguments: list[str]) -> str:
    """Return the command, and of a worker its queues: `worker-transactions`."""
    command, *options = arguments or ["celery"]
    queues = [queue for option, queue in pairwise(options) if option in {"-Q", "--queues"}]
    return "-".join([command, *queues])


if __name__ == "__main__":
    main()
