"""Restores of an idle server, whose archive holds no commit; and of one whose settings are kept elsewhere."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from local import account
from local.stack import Stack
from tests.conftest import migrated, reachable_folder
from tests.operations.scripts import Site, site

SETTINGS = ("postgresql.conf", "pg_hba.conf", "pg_ident.conf")


@pytest.fixture(scope="module")
def idle() -> Iterator[Stack]:
    with reachable_folder() as folder, migrated(folder) as stack:
        yield stack


@pytest.fixture(scope="module")
def here(idle: Stack) -> Iterator[Site]:
    with site(idle) as here:
        here.archive_everything()
        yield here


@pytest.fixture
def backup(idle: Stack, here: Site) -> Path:
    return Path(here.run("base-backup.sh", here.backups, database_url=idle.database_url)["backup"])


@pytest.fixture
def config(here: Site, backup: Path, tmp_path: Path) -> Path:
    """The settings of the backup's server, in a folder of their own as Debian keeps them."""
    folder = here.servers / f"etc-{tmp_path.name}"
    folder.mkdir()
    account.own(folder, account.account())
    for name in SETTINGS:
        (backup / name).rename(folder / name)
    with (folder / "postgresql.conf").open("a", encoding="ascii") as file:
        file.write(f"data_directory = '{backup}'\nhba_file = '{folder}/pg_hba.conf'\n")
        file.write(f"external_pid_file = '{folder}/running.pid'\n")
    return folder


def test_where_nothing_was_replayed_the_restored_server_is_as_of_the_backup(here: Site, backup: Path) -> None:
    backed_up_at = datetime.now(UTC)
    data = here.servers / "idle"
    restored = here.run("restore.sh", backup, here.archive, data, database_url=here.new_address())
    assert restored["audit"] == "ok"
    assert datetime.fromisoformat(restored["latest_commit"]) <= backed_up_at


def test_a_server_whose_settings_are_elsewhere_is_restored_and_what_runs_with_them_is_left_alone(
    here: Site, backup: Path, config: Path
) -> None:
    data, url = here.servers / "debian", here.new_address()
    done = here.attempt("restore.sh", backup, here.archive, data, database_url=url, CONFIG=str(config))
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout)["data"] == str(data)
    assert not (config / "running.pid").exists()


@pytest.mark.usefixtures("config")
def test_without_its_settings_nothing_is_copied(here: Site, backup: Path) -> None:
    data = here.servers / "unset"
    done = here.attempt("restore.sh", backup, here.archive, data, database_url=here.new_address())
    assert done.returncode == 1
    assert "has no postgresql.conf: CONFIG names the folder" in done.stderr
    assert not data.exists()
