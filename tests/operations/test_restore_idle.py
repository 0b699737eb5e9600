"""Restores of an idle server, whose archive holds no commit."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.stack import Stack
from tests.conftest import environment, reachable_folder
from tests.operations.scripts import Site, site


@pytest.fixture(scope="module")
def idle() -> Iterator[Stack]:
    with reachable_folder() as folder, Stack(folder, environment()) as stack:
        stack.start_servers()
        stack.migrate()
        yield stack


@pytest.fixture(scope="module")
def here(idle: Stack) -> Iterator[Site]:
    with site(idle) as here:
        here.archive_everything()
        yield here


@pytest.fixture
def backup(idle: Stack, here: Site) -> Path:
    return Path(here.run("base-backup.sh", here.backups, database_url=idle.database_url)["backup"])


def test_where_nothing_was_replayed_the_restored_server_is_as_of_the_backup(here: Site, backup: Path) -> None:
    backed_up_at = datetime.now(UTC)
    data = here.servers / "idle"
    restored = here.run("restore.sh", backup, here.archive, data, database_url=here.new_address())
    assert restored["audit"] == "ok"
    assert datetime.fromisoformat(restored["latest_commit"]) <= backed_up_at
