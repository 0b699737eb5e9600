"""The whole system through PgBouncer in transaction mode."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url

import db.admission
from local.stack import Stack
from tests.conftest import environment, reachable_folder
from tests.flows.world import World
from tests.operations import pgbouncers
from tests.operations.conftest import Recorder
from tests.operations.worlds import running, shaken
from tests.supervised import Supervised

POOL_SIZE = 12  # Below what the processes open to it, above what they use at once.


@pytest.fixture(scope="module")
def servers() -> Iterator[Stack]:
    """PostgreSQL and Redis, without any process of ours."""
    with reachable_folder() as folder, Stack(folder, environment()) as stack:
        stack.start_servers()
        yield stack


@pytest.fixture(scope="module")
def supervised() -> Iterator[Supervised]:
    with reachable_folder() as folder, Supervised(folder) as supervised:
        yield supervised


@pytest.fixture(scope="module")
def port(servers: Stack, supervised: Supervised) -> int:
    return pgbouncers.start(supervised, servers.env, pool_size=POOL_SIZE)


@pytest.fixture(scope="module")
def world(servers: Stack, port: int) -> Iterator[World]:
    """A system that knows its database by PgBouncer's address only, from the first migration on."""
    settings = {name: pgbouncers.through(servers.env[name], port) for name in pgbouncers.URLS}
    settings |= {"REDIS_URL": servers.redis_url, "DATABASE_PREPARED_STATEMENTS": "false"}
    with running(servers.database_url, **settings) as world:
        yield world


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True, prepare_threshold=None) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_more_clients_are_connected_than_there_are_server_connections(world: World) -> None:
    admin = make_url(world.stack.database_url).set(database="pgbouncer").render_as_string(hide_password=False)
    clients: list[object] = []
    _, broken = shaken(world, "nothing happens", lambda: clients.extend(ask(admin, "SHOW CLIENTS")))
    with world.tx() as tx:
        used = tx.exec_driver_sql("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'tekana__%%'").scalar_one()
    assert broken == []
    assert 0 < used < len(clients)


@pytest.mark.parametrize("variable", ["DATABASE_API_URL", "DATABASE_WORKER_URL"])
@pytest.mark.parametrize("setting", db.admission.ROLE_SETTINGS)
def test_a_roles_settings_hold_through_it(world: World, variable: str, setting: str) -> None:
    [[value]] = ask(world.stack.env[variable], f"SELECT current_setting('{setting}')")
    assert value == db.admission.ROLE_SETTINGS[setting]


@pytest.mark.parametrize("verb", [["migrate"], ["audit", "verify"], ["keys", "list"], ["jobs", "requeue", "--all"]])
def test_each_verb_of_the_operator_works_through_it(world: World, verb: list[str]) -> None:
    world.stack.command(*verb)


@pytest.mark.usefixtures("trial")
def test_no_job_is_lost_when_it_is_killed(world: World, supervised: Supervised, recorder: Recorder) -> None:
    figures, broken = shaken(world, "PgBouncer is killed", lambda: supervised.kill(pgbouncers.NAME))
    recorder(figures)
    assert broken == []


@pytest.mark.usefixtures("trial")
def test_no_job_is_lost_when_postgresql_is_killed_behind_it(world: World, servers: Stack, recorder: Recorder) -> None:
    def kill() -> None:
        servers.wait_restarted("postgres", servers.kill("postgres"))

    figures, broken = shaken(world, "PostgreSQL is killed behind PgBouncer", kill)
    recorder(figures)
    assert broken == []
