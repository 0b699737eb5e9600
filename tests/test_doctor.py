import msgspec
import pytest

import db.engine
import doctor
import settings
from domain.jobs import Queue
from local.stack import Stack
from settings import Settings
from tests.absent import KINDS, away
from tests.conftest import reachable_folder
from tests.standbys import streaming

URLS = ("DATABASE_API_URL", "DATABASE_WORKER_URL")


def findings(config: Settings) -> dict[str, doctor.Diagnosis]:
    return {one.subject: one for one in doctor.examine(config)}


def finding(config: Settings, subject: str) -> doctor.Diagnosis:
    """Return what was found of one thing, and look no further: for workers that are not there it waits two seconds."""
    return next(one for one in doctor.examine(config) if one.subject == subject and one.finding != "set")


def test_without_settings_it_names_each_missing_one_and_asks_nothing_else() -> None:
    found = list(doctor.examine(Settings()))
    assert [one.subject for one in found] == [name.upper() for name in doctor.NEEDED]
    assert all(one.remedy for one in found)


def test_what_runs_is_well_and_what_does_not_has_a_remedy(configured: Settings) -> None:
    found = findings(configured)
    well = {"schema", "DATABASE_API_URL", "DATABASE_WORKER_URL", "redis"}
    assert {name: found[name].remedy for name in well} == dict.fromkeys(well, "")
    assert {name for name, one in found.items() if one.remedy} == {"api", *(f"queue {queue}" for queue in Queue)}


def test_a_role_that_could_edit_history_is_not_well(configured: Settings) -> None:
    spoiled = msgspec.structs.replace(configured, database_api_url=configured.database_url)
    found = finding(spoiled, "DATABASE_API_URL")
    assert found.remedy
    assert "superuser" in found.finding


def test_roles_that_changed_places_are_not_well(configured: Settings) -> None:
    changed = msgspec.structs.replace(
        configured,
        database_api_url=configured.database_worker_url,
        database_worker_url=configured.database_api_url,
    )
    found = [finding(changed, url) for url in URLS]
    assert all(one.remedy for one in found)
    assert [one.finding.rpartition("; ")[2] for one in found] == ["the API must not", "the workers must not"]


def test_a_flower_without_a_password_is_not_well(configured: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert finding(configured, "FLOWER_BASIC_AUTH").is_well
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "operator:")
    found = finding(configured, "FLOWER_BASIC_AUTH")
    assert found.finding == "FLOWER_BASIC_AUTH is not user:password; everybody could look"
    assert found.remedy


def test_a_replica_that_is_none_is_named_with_its_remedy(configured: Settings) -> None:
    config = msgspec.structs.replace(configured, database_read_url=configured.database_api_url)
    found = finding(config, "DATABASE_READ_URL")
    assert found.finding == "does not follow the primary"
    assert "streaming replica" in found.remedy


def test_a_replica_that_follows_is_well(servers: Stack, configured: Settings) -> None:
    with reachable_folder() as folder, streaming(servers, folder) as standby:
        well, spoiled = (of_replica(configured, standby.url(name)) for name in ("DATABASE_API_URL", "DATABASE_URL"))
    assert well.finding.startswith("follows the primary, ")
    assert well.is_well
    assert "superuser" in spoiled.finding


def of_replica(config: Settings, url: str) -> doctor.Diagnosis:
    found = finding(msgspec.structs.replace(config, database_read_url=url), "DATABASE_READ_URL")
    db.engine.engine(url).dispose()
    return found


def test_a_database_that_is_away_is_named_with_its_remedy(configured: Settings) -> None:
    away = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    found = finding(msgspec.structs.replace(configured, database_url=away), "database")
    assert "DATABASE_URL" in found.remedy


@pytest.mark.parametrize("kind", KINDS)
def test_a_broker_that_is_away_is_named_with_its_remedy(configured: Settings, kind: str) -> None:
    with away(kind) as url:
        found = finding(msgspec.structs.replace(configured, redis_url=url), "redis")
    assert "REDIS_URL" in found.remedy
    assert settings.settings() is configured
