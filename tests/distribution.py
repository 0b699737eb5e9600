"""Which process runs which tests, when several share them.

What costs most is to start the whole system, and the bare servers. Files whose tests need the one stand at one end of
the queue, those that need the other at the other end: each process takes from one of them, and they meet among the
tests that need neither.
"""

import os
from collections import defaultdict

import pytest
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

from local import ports

SYSTEM = {"stack", "evidence"}  # Fixtures that start it.
SERVERS = {"servers"}


def share_ports() -> None:
    """Leave each process ports of its own: two could choose the same one before anybody listens there."""
    name, count = os.environ.get("PYTEST_XDIST_WORKER"), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if name:
        share = (ports.LAST + 1 - ports.FIRST) // count
        ports.FIRST += share * int(name.removeprefix("gw"))
        ports.LAST = ports.FIRST + share - 1


def sort(items: list[pytest.Item]) -> None:
    """Bring files into the queue's order; within each, tests keep theirs."""
    needed: dict[str, set[str]] = defaultdict(set)
    for item in items:
        needed[_file(item)].update(getattr(item, "fixturenames", ()))
    items.sort(key=lambda item: _place(needed[_file(item)]))


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _place(fixtures: set[str]) -> int:
    if fixtures & SYSTEM:
        return 0
    return 2 if fixtures & SERVERS else 1


class TwoEnds(LoadFileScheduling):  # type: ignore[misc] # xdist's types are not shown to others
    """Gives every second process the last file of the queue instead of the first."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        if list(self.assigned_work).index(node) % 2:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)
