"""Backup, restore to a point in time, and what is left when only the archive is."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from local import ports
from local.stack import Stack
from tests.flows.load import Load, Receipt
from tests.flows.world import World, transfer
from tests.operations.conftest import Recorder
from tests.operations.scripts import ARCHIVE_SECONDS, Site, at, plain, site, wait_archived
from tests.operations.seen import end_of_feed, feed, known, measured, query
from tests.operations.worlds import CLIENTS, PAUSE_SECONDS, TRANSFERS_MAX, moved, running

TRANSFERS = 400
FUTURE = "2099-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running() as world:
        yield world


@pytest.fixture(scope="module")
def here(world: World) -> Iterator[Site]:
    with site(world.stack) as here:
        here.archive_everything()
        yield here


@pytest.fixture(scope="module")
def backup(world: World, here: Site) -> dict[str, Any]:
    """A base backup that was made while money moved."""
    with load(world) as under:
        under.wait_answered(TRANSFERS // 4)
        made = here.run("base-backup.sh", here.backups, database_url=world.stack.database_url)
        settle(world, under.finish(more=TRANSFERS))
    return made


def load(world: World) -> Load:
    return Load(world, TRANSFERS_MAX, CLIENTS, PAUSE_SECONDS)


def settle(world: World, receipts: Sequence[Receipt]) -> None:
    """Wait for the end of transfers, and expect of the wallets what they come to."""
    world.wait_finished([receipt.job_id for receipt in receipts])
    world.book()


def posted(database_url: str, until: datetime) -> set[tuple[object, ...]]:
    query = "SELECT id, amount, seal FROM transactions WHERE posted_at < %s"
    with psycopg.connect(plain(database_url)) as owner:
        return set(owner.execute(query, [until]))


def test_a_backup_says_where_it_is_and_that_the_books_were_right(backup: dict[str, Any], recorder: Recorder) -> None:
    assert backup["audit"] == "ok"
    assert Path(backup["backup"], "backup_manifest").exists()
    recorder(measured("a base backup under load", backup["seconds"], "copy, checks, archive and audit"))


@pytest.mark.usefixtures("trial")
def test_a_restored_server_has_every_job_from_before_the_moment_and_none_from_after(
    world: World, here: Site, backup: dict[str, Any], recorder: Recorder
) -> None:
    with load(world) as under:
        under.wait_answered(TRANSFERS)
        moment = datetime.now(UTC)
        receipts = under.finish(more=TRANSFERS)
    settle(world, receipts)
    wait_archived(world)
    url, data = here.new_address(), here.servers / f"restored-{moment.timestamp()}"
    restored = here.run("restore.sh", backup["backup"], here.archive, data, moment.isoformat(), database_url=url)
    before = [receipt for receipt in receipts if receipt.answered_at < moment]
    with here.running(data, url):
        found = known(url, receipts)
        assert {receipt.job_id for receipt in before} <= found
        assert len(found) < len(receipts)
        assert query(url, "SELECT count(*) FROM jobs WHERE created_at > %s", moment) == 0
        assert query(url, "SELECT count(*) FROM jobs") == restored["jobs"]
        earlier = moment - timedelta(seconds=1)
        assert posted(url, earlier) == posted(world.stack.database_url, earlier)
    assert restored["audit"] == "ok"
    assert datetime.fromisoformat(restored["latest_commit"]) <= moment
    lost = {receipt.job_id for receipt in before} - found
    recorder(
        measured(
            "a restore to a point in time", restored["recovered_seconds"], "copy and recovery", jobs=before, lost=lost
        )
    )
    recorder(measured("a restore to a point in time", restored["seconds"], "all, with the audit"))


def test_a_restored_system_goes_on_and_readers_of_events_miss_nothing_new(
    world: World, here: Site, backup: dict[str, Any]
) -> None:
    """What readers have read on the old server, up to after the moment, must not hide what happens on the new one."""
    with load(world) as under:
        under.wait_answered(TRANSFERS)
        moment = datetime.now(UTC)
        settle(world, under.finish(more=TRANSFERS))
    cursor = end_of_feed(world)
    wait_archived(world)
    url, data = here.new_address(), here.servers / "goes-on"
    here.run("restore.sh", backup["backup"], here.archive, data, moment.isoformat(), database_url=url)
    with here.running(data, url), moved(world, at(world.stack.env, url)) as there:
        done = there.settled("/v1/transfers", transfer(world.wallets[0], world.wallets[1], 7))
        told = {event["data"]["id"] for event in feed(there, cursor)}
        assert done.id in told
        assert query(url, "SELECT count(*) FROM jobs WHERE state = 'queued'") == 0


def test_after_the_loss_of_a_server_with_its_disk_the_archive_has_all_but_the_last_seconds(
    world: World, here: Site, backup: dict[str, Any], recorder: Recorder
) -> None:
    with load(world) as under:
        under.wait_answered(TRANSFERS * 8)  # For twice as long as the archive may lag.
        lost_at = datetime.now(UTC)
        world.stack.hold("postgres")
        try:
            url, data = here.new_address(), here.servers / "after-the-loss"
            restored = here.run("restore.sh", backup["backup"], here.archive, data, database_url=url)
        finally:
            world.stack.release("postgres")
        receipts = under.finish(more=CLIENTS)
    settle(world, receipts)
    before = [receipt for receipt in receipts if receipt.answered_at < lost_at]
    with here.running(data, url):
        lost = {receipt.job_id for receipt in before} - known(url, before)
    gap = (lost_at - datetime.fromisoformat(restored["latest_commit"])).total_seconds()
    name = f"only the archive is left (archive_timeout {ARCHIVE_SECONDS} s)"
    recorder(measured(name, gap, "what is missing at the end", jobs=before, lost=lost))
    assert gap < ARCHIVE_SECONDS * 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("{backup} {archive} {servers}", "is there already"),
        ("{servers} {archive} {servers}/new", "is no base backup"),
        ("{backup} {archive} {servers}/when yesterday", "yesterday is no moment with its zone"),
        ("{backup} {archive} {servers}/when 2026-11-24T10:00:00", "is no moment with its zone"),
        ("{backup} {archive} {servers}/far " + FUTURE, "recovery ended before configured recovery target was reached"),
    ],
)
def test_what_cannot_be_restored_is_refused_with_a_sentence(
    here: Site, backup: dict[str, Any], arguments: str, complaint: str
) -> None:
    places = {"backup": backup["backup"], "archive": here.archive, "servers": here.servers}
    done = here.attempt("restore.sh", *arguments.format(**places).split(), database_url=here.new_address())
    assert done.returncode == 1
    assert complaint in done.stderr


def test_a_backup_without_an_archive_is_refused(servers: Stack) -> None:
    with site(servers) as elsewhere:
        done = elsewhere.attempt("base-backup.sh", elsewhere.backups, database_url=servers.database_url)
    assert done.returncode == 1
    assert "archive_mode is off" in done.stderr


def test_only_a_superuser_makes_a_backup(servers: Stack) -> None:
    with site(servers) as elsewhere:
        done = elsewhere.attempt("base-backup.sh", elsewhere.backups, database_url=servers.env["DATABASE_WORKER_URL"])
    assert done.returncode == 1
    assert "tekana_worker is no superuser" in done.stderr


def test_only_a_superuser_restores(world: World, here: Site, backup: dict[str, Any]) -> None:
    url = make_url(world.stack.env["DATABASE_WORKER_URL"]).set(port=ports.free())
    arguments = (backup["backup"], here.archive, here.servers / "of-a-worker")
    done = here.attempt("restore.sh", *arguments, database_url=url.render_as_string(hide_password=False))
    assert done.returncode == 1
    assert "tekana_worker is no superuser" in done.stderr


def test_an_address_that_is_none_is_refused_without_repeating_it(here: Site) -> None:
    done = here.attempt("base-backup.sh", here.backups, database_url="mysql://me:secret@somewhere/db")
    assert done.returncode == 1
    assert "DATABASE_URL is not postgresql+psycopg://" in done.stderr
    assert "secret" not in done.stderr
