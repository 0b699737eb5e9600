"""A standby takes the primary's place while money moves; clients and processes know both addresses."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import psycopg
import pytest
from sqlalchemy import URL, make_url

from local import ports
from local.stack import Stack
from tests.conftest import environment, reachable_folder
from tests.flows.books import Strike, reconcile
from tests.flows.load import Load, Receipt
from tests.flows.world import World
from tests.operations.conftest import Recorder
from tests.operations.scripts import Site, plain, site
from tests.operations.seen import end_of_feed, feed, known, measured
from tests.operations.worlds import AFTER, BEFORE, CLIENTS, PAUSE_SECONDS, TRANSFERS_MAX, running
from tests.standbys import Standby, wait_until

URLS = ("DATABASE_URL", "DATABASE_API_URL", "DATABASE_WORKER_URL")
SECONDS_MAX = 30.0
IN_FLIGHT_SECONDS = 0.5  # Answers that were on their way when the primary died have come by then.
EPOCH = 2**32
PROMOTE = Path(__file__).parents[2] / "deploy" / "backup" / "promote.sh"


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A primary, a standby that follows it, and a system that knows both."""

    primary: Stack
    here: Site
    standby_data: Path
    standby_url: str
    world: World


@contextlib.contextmanager
def pair(*, is_synchronous: bool) -> Iterator[Pair]:
    with (
        reachable_folder() as folder,
        Stack(folder, environment()) as primary,
        site_of(primary) as here,
        following(primary, here) as standby,
    ):
        if is_synchronous:
            wait_for_it(primary)
        settings = {name: both(primary.env[name], standby.port) for name in URLS}
        settings |= {"REDIS_URL": primary.redis_url, "SEAL_KEY": primary.env["SEAL_KEY"]}  # The script's audit has it.
        with running(**settings) as world:
            yield Pair(
                primary=primary,
                here=here,
                standby_data=standby.folder,
                standby_url=standby.url(),
                world=world,
            )


@contextlib.contextmanager
def site_of(primary: Stack) -> Iterator[Site]:
    primary.start_servers()
    primary.migrate()
    with site(primary) as here:
        yield here


@contextlib.contextmanager
def following(primary: Stack, here: Site) -> Iterator[Standby]:
    """Run a standby as a service manager does: the script may restart it."""
    standby = Standby(primary, here.servers / "standby")
    standby.copy()
    with here.running(standby.folder, standby.url()):
        yield standby


def wait_for_it(primary: Stack) -> None:
    """Let every commit wait for the standby."""
    with psycopg.connect(plain(primary.database_url), autocommit=True) as owner:
        owner.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        owner.execute("SELECT pg_reload_conf()")
        query = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')"
        wait_until(lambda: owner.execute(query).fetchone() == (True,), SECONDS_MAX)


def both(url: str, standby_port: int) -> str:
    """Return an address of whichever of the two takes writes."""
    address = make_url(url)
    hosts = [f"{ports.HOST}:{port}" for port in (address.port, standby_port)]
    query = {"host": hosts, "target_session_attrs": "read-write"}
    return address.set(host="", port=None, query=query).render_as_string(hide_password=False)


def outage(receipts: Sequence[Receipt], killed_at: datetime) -> float:
    """Return how long nobody was answered."""
    later = [one.answered_at for one in receipts if one.answered_at > killed_at + timedelta(seconds=IN_FLIGHT_SECONDS)]
    return (min(later) - killed_at).total_seconds()


@pytest.mark.usefixtures("trial")
def test_a_synchronous_standby_has_every_accepted_job_and_clients_go_on(recorder: Recorder) -> None:
    with pair(is_synchronous=True) as here:
        world = here.world
        with Load(world, TRANSFERS_MAX, CLIENTS, PAUSE_SECONDS) as load:
            load.wait_answered(BEFORE)
            killed_at = now()
            here.primary.hold("postgres")
            promoted = here.here.run("promote.sh", "synchronous", database_url=here.standby_url)
            receipts = load.finish(more=AFTER)
        strike = Strike(at=killed_at, back_at=killed_at + timedelta(seconds=outage(receipts, killed_at)))
        figures, broken = reconcile(world, receipts, strike, "")
        assert broken == []
        assert (promoted["audit"], promoted["timeline"]) == ("ok", 2)
        assert figures.lost == 0
        name = "a synchronous standby is promoted"
        seconds = outage(receipts, killed_at)
        recorder(measured(name, seconds, "from the kill to the next 202", jobs=receipts))
        recorder(measured(name, promoted["seconds"], "the script, with the audit"))


@pytest.mark.usefixtures("trial")
def test_an_asynchronous_standby_may_lack_the_end_and_hides_nothing_that_is_new(recorder: Recorder) -> None:
    with pair(is_synchronous=False) as here:
        world = here.world
        with Load(world, TRANSFERS_MAX, CLIENTS, PAUSE_SECONDS) as load:
            load.wait_answered(BEFORE)
            cut_off(here)
            load.wait_answered(BEFORE * 2)
            cursor, killed_at = end_of_feed(world), now()
            here.primary.hold("postgres")
            arguments = ("asynchronous", here.standby_data)
            promoted = here.here.run("promote.sh", *arguments, database_url=here.standby_url)
            back_at = now()
            receipts = load.finish(more=AFTER)
        before = [receipt for receipt in receipts if receipt.answered_at < killed_at]
        after = [receipt for receipt in receipts if receipt.answered_at > back_at]
        world.wait_finished([receipt.job_id for receipt in after])
        assert {receipt.job_id for receipt in after} <= {event["data"]["id"] for event in feed(world, cursor)}
        assert promoted["audit"] == "ok"
        lost = {receipt.job_id for receipt in before} - known(here.standby_url, before)
        assert lost
        name = "an asynchronous standby is promoted that was cut off a moment before"
        recorder(measured(name, outage(receipts, killed_at), "from the kill to the next 202", jobs=before, lost=lost))


def cut_off(here: Pair) -> None:
    """Cut the standby off: what the primary confirms from now on is on the primary only."""
    with psycopg.connect(plain(here.standby_url), autocommit=True) as owner:
        owner.execute("ALTER SYSTEM SET primary_conninfo = ''")
        owner.execute("SELECT pg_reload_conf()")
        query = "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver)"
        wait_until(lambda: owner.execute(query).fetchone() == (False,), SECONDS_MAX)


def now() -> datetime:
    return datetime.now().astimezone()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["synchronous"], "the primary still sends: stop it first"),
        (["asynchronous"], "name its data folder"),
        (["perhaps"], "a standby is synchronous or asynchronous, not perhaps"),
    ],
)
def test_what_would_harm_is_refused_with_a_sentence(servers: Stack, arguments: list[str], complaint: str) -> None:
    with site(servers) as here, following(servers, here) as standby:
        done = here.attempt("promote.sh", *arguments, database_url=standby.url(), FENCED_SECONDS_MAX="1")
        assert done.returncode == 1
        assert complaint in done.stderr
        assert standby.execute("SELECT pg_is_in_recovery()") is True


@pytest.fixture
def promoter(servers: Stack) -> Iterator[URL]:
    """A role that may promote, and sees of replication that there is some, but not in which state."""
    with psycopg.connect(plain(servers.database_url), autocommit=True) as owner:
        owner.execute("GRANT EXECUTE ON FUNCTION pg_promote TO tekana_worker")
        yield make_url(servers.env["DATABASE_WORKER_URL"])
        owner.execute("REVOKE EXECUTE ON FUNCTION pg_promote FROM tekana_worker")


def test_who_cannot_see_whether_the_primary_sends_does_not_promote(servers: Stack, promoter: URL) -> None:
    with site(servers) as here, following(servers, here) as standby:
        standby.catch_up()
        url = promoter.set(port=standby.port).render_as_string(hide_password=False)
        done = here.attempt("promote.sh", "synchronous", database_url=url, FENCED_SECONDS_MAX="1")
        assert done.returncode == 1
        assert "tekana_worker is no superuser" in done.stderr
        assert standby.execute("SELECT pg_is_in_recovery()") is True


def test_a_state_that_is_not_shown_counts_as_sending(servers: Stack, promoter: URL) -> None:
    [question] = re.findall(r'"(SELECT NOT EXISTS .*pg_stat_wal_receiver.*)"', PROMOTE.read_text(encoding="utf-8"))
    with site(servers) as here, following(servers, here) as standby:
        standby.catch_up()
        url = promoter.set(port=standby.port).render_as_string(hide_password=False)
        with psycopg.connect(plain(url)) as connection:
            assert connection.execute("SELECT pid > 0, status FROM pg_stat_wal_receiver").fetchone() == (True, None)
            assert connection.execute(question).fetchone() == (False,)


def test_a_primary_is_not_promoted(servers: Stack) -> None:
    with site(servers) as here:
        done = here.attempt("promote.sh", "synchronous", database_url=servers.database_url)
        assert done.returncode == 1
        assert "is no standby" in done.stderr
