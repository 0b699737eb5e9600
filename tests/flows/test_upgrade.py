"""Upgrades under load, release by release: the schema first, beside the processes of before, which then make way."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from local.stack import Stack
from tests.flows import releases
from tests.flows.bank import Bank
from tests.flows.books import Strike, reconcile
from tests.flows.conftest import Recorder, running
from tests.flows.load import Load
from tests.flows.rolling import roll, too_slow
from tests.flows.trials import Case
from tests.flows.world import World

pytestmark = pytest.mark.alone

TRANSFERS_MAX = 200_000
CLIENTS = 8
PAUSE_SECONDS = 0.02
BETWEEN = 200  # Transfers with the new schema and the old processes, and then with the new ones.
LOCK_SECONDS_MAX = 2.0  # As long as anybody's statement may wait for a migration.


class Upgrade:
    """The release that processes are started from: a link, as it is where code is put beside the code of before."""

    def __init__(self, folder: Path) -> None:
        self.link = folder / "release"

    def to(self, tree: Path) -> None:
        new = self.link.with_name("next")
        new.symlink_to(tree)
        new.replace(self.link)

    def lead(self, stack: Stack) -> str:
        """Have Python look there, and not where it is started."""
        stack.env |= {"PYTHONPATH": str(self.link), "PYTHONSAFEPATH": "1"}
        return ""


@contextlib.contextmanager
def released(commit: str, folder: Path) -> Iterator[tuple[World, Upgrade]]:
    upgrade = Upgrade(folder)
    upgrade.to(releases.unpack(commit, folder))
    with running(upgrade.lead) as world:
        yield world, upgrade


def test_no_job_is_lost_or_doubled_or_late_when_releases_follow(
    trial: Case, tmp_path: Path, recorder: Recorder
) -> None:
    before, *later = releases.newest(trial.number)
    trees = [*(releases.unpack(commit, tmp_path) for commit in later), releases.ROOT]
    slow: dict[str, float] = {}
    waits: list[float] = []
    with released(before, tmp_path) as (world, upgrade):
        with Bank(world), Load(world, TRANSFERS_MAX, CLIENTS, PAUSE_SECONDS, draw=trial.draw) as load:
            at = datetime.now(UTC)
            for tree in trees:
                load.wait_answered(len(load.receipts) + BETWEEN)
                waits += _migrate(world.stack, tree, load)
                upgrade.to(tree)
                slow |= too_slow(roll(world.stack, trial.draw))
            receipts = load.finish(more=BETWEEN)
        figures, broken = reconcile(world, receipts, Strike(at=at, back_at=at), trial.row)
    recorder(replace(figures, trials=trial.number))
    assert broken == []
    assert slow == {}
    assert max(waits) < LOCK_SECONDS_MAX


def _migrate(stack: Stack, tree: Path, load: Load) -> list[float]:
    """Bring the schema of the release in `tree`, and return how long clients waited: each was served at once."""
    began, failed = len(load.receipts), load.refused + load.unanswered
    stack.command("migrate", PYTHONPATH=str(tree))
    load.wait_answered(len(load.receipts) + BETWEEN)
    assert load.refused + load.unanswered == failed
    return [one.seconds for one in load.receipts[began:]]
