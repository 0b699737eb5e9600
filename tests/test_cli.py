"""The operator's verbs: what they change, what they print, and how they end."""

import base64
import contextlib
import io
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from rich.console import Console
from sqlalchemy import text

import cli
import db.audit
import db.customers
import db.jobs
import db.keys
import db.schema
import db.secrets
from db.engine import transaction
from domain.access import digest
from domain.cohorts import Cohort
from domain.customers import Registration
from domain.jobs import ATTEMPTS_EXHAUSTED, JobState, Kind, Outcome
from local.stack import Stack
from sealing import Sealer
from settings import ENVIRONMENT_FILE, Settings
from tests import databases, made
from tests.verbs import Tekana, lines

ROOT = Path(__file__).parents[1]


def test_the_module_is_the_command(configured: Settings) -> None:
    assert configured
    argv = [sys.executable, "-m", "cli", "keys", "revoke", str(UUID(int=0))]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == f"tekana: no key {UUID(int=0)} that is still alive\n"


def test_either_role_can_wait_until_the_schema_is_new_enough(servers: Stack) -> None:
    argv, env = [sys.executable, "-m", "cli", "migrate", "--wait"], os.environ | {"DATABASE_URL": "", "DATA_DIR": "/no"}
    with databases.empty(servers.database_url) as name, contextlib.ExitStack() as kept:
        urls = {one: databases.on(servers.env[one], name) for one in ("DATABASE_API_URL", "DATABASE_WORKER_URL")}
        started = [
            subprocess.Popen(argv, cwd=ROOT, env=env | {one: url}, stdout=subprocess.PIPE, text=True)
            for one, url in urls.items()
        ]
        waiting = [kept.enter_context(one) for one in started]
        for one in waiting:
            kept.callback(one.kill)  # Whoever failed to say its end would be waited for without one.
        time.sleep(3)  # Long enough to find out, and to fail if that were an end.
        assert [one.poll() for one in waiting] == [None, None]
        db.schema.migrate(databases.on(servers.database_url, name), list(urls.values()))
        said = [(one.communicate(timeout=20)[0], one.returncode) for one in waiting]
    assert said == [("The schema is new enough.\n", 0)] * 2


def test_a_new_key_is_printed_once_and_stored_as_its_digest(tekana: Tekana, fresh: Settings) -> None:
    [printed] = lines(tekana("keys", "create", "--name", "n", "--scope", "jobs:read", "--scope", "*", "--json"))
    with transaction(fresh.database_url) as tx:
        [key] = db.keys.find_valid(tx, [digest(printed["key"])]).values()
    assert (str(key.id), key.name, key.scopes, key.expires_at) == (printed["id"], "n", ["*", "jobs:read"], None)


def test_a_new_keys_callback_secret_is_printed_once_and_stored_sealed(tekana: Tekana, fresh: Settings) -> None:
    done = tekana("keys", "create", "--name", "n", "--scope", "*", "--json")
    [printed] = lines(done)
    with transaction(fresh.database_url) as tx:
        [sealed] = tx.scalars(text("SELECT sealed FROM webhook_secrets WHERE owner_id = :id"), {"id": printed["id"]})
    opened = Sealer(fresh.webhook_keys, "WEBHOOK_KEYS").open(sealed)
    assert (opened, done.out.count(opened)) == (printed["callback_secret"], 1)
    assert opened.startswith("whsec_")
    assert opened not in tekana("keys", "list").out


def test_people_are_told_what_a_new_key_and_its_secret_are_for(tekana: Tekana, fresh: Settings) -> None:
    assert fresh
    done = tekana("keys", "create", "--name", "n", "--scope", "*")
    words = done.out.split()
    assert [word.partition("_")[0] for word in words if "_" in word] == ["tk", "whsec"]
    assert "callbacks are signed with" in done.out
    assert "not shown again" in done.out


def test_a_key_is_not_made_without_what_seals_its_secret(tekana: Tekana, fresh: Settings) -> None:
    done = tekana("keys", "create", "--name", "n", "--scope", "*", WEBHOOK_KEYS="")
    assert (done.status, done.out) == (1, "")
    assert "not set: WEBHOOK_KEYS" in done.err
    with transaction(fresh.database_url) as tx:
        assert db.keys.every(tx) == []


def test_a_key_may_end_by_itself(tekana: Tekana, fresh: Settings) -> None:
    [printed] = lines(tekana("keys", "create", "--name", "n", "--scope", "*", "--days", "7", "--json"))
    with transaction(fresh.database_url) as tx:
        [key] = db.keys.find_valid(tx, [digest(printed["key"])]).values()
    assert key.expires_at is not None
    assert abs(key.expires_at - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)


def test_keys_are_listed_without_what_opens_doors(tekana: Tekana, fresh: Settings) -> None:
    printed = lines(tekana("keys", "create", "--name", "n", "--scope", "*", "--json"))
    listed = tekana("keys", "list")
    assert fresh
    assert [key["id"] for key in lines(listed)] == [printed[0]["id"]]
    assert printed[0]["key"] not in listed.out


def test_a_key_is_revoked_once(tekana: Tekana, fresh: Settings) -> None:
    [printed] = lines(tekana("keys", "create", "--name", "n", "--scope", "*", "--json"))
    assert [tekana("keys", "revoke", printed["id"]).status for _ in range(2)] == [0, 1]
    with transaction(fresh.database_url) as tx:
        assert db.keys.find_valid(tx, [digest(printed["key"])]) == {}


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["keys", "create", "--name", "n", "--scope", "everything"], "'everything' is not one of"),
        (["keys", "create", "--name", "n"], "Missing option '--scope'"),
        (["keys", "revoke", "x"], "'x' is not a valid UUID"),
        (["keys", "revoke", str(UUID(int=0))], "no key 00000000-0000-0000-0000-000000000000 that is still alive"),
        (["jobs", "requeue"], "name the jobs, or say --all"),
        (["jobs", "requeue", "--all", str(UUID(int=0))], "name the jobs, or say --all"),
        (["jobs", "requeue", str(UUID(int=0))], "not failed, so not requeued"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(tekana: Tekana, arguments: list[str], message: str) -> None:
    done = tekana(*arguments)
    assert done.status != 0
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"API_PORT": "eighty"}, "api_port"),
        ({"DATABASE_URL": "postgresql+psycopg://tekana@127.0.0.1:1/tekana"}, "the database refused or is away"),
    ],
)
def test_an_environment_that_does_not_work_is_said_in_a_sentence(
    tekana: Tekana, changes: dict[str, str], message: str
) -> None:
    done = tekana("keys", "list", **changes)
    assert done.status == 1
    assert message in done.err
    assert "Traceback" not in done.err


def test_migrating_what_is_up_to_date_changes_nothing(tekana: Tekana, fresh: Settings) -> None:
    with transaction(fresh.database_url) as tx:
        made.transfer_between_two(tx)
    assert tekana("migrate").out == "The schema is up to date.\n"
    with transaction(fresh.database_url) as tx:
        assert tx.scalar(text("SELECT count(*) FROM transactions")) == 2


def test_migrating_shows_people_that_it_works(tekana: Tekana, fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fresh
    terminal = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr(cli, "ERRORS", terminal)
    assert tekana("migrate").out == "The schema is up to date.\n"
    assert isinstance(terminal.file, io.StringIO)
    assert "migrating" in terminal.file.getvalue()


def test_migrating_for_a_role_that_does_not_exist_names_it(tekana: Tekana, fresh: Settings) -> None:
    url = fresh.database_api_url.replace("tekana_api:", "tekana_apo:")
    done = tekana("migrate", DATABASE_API_URL=url)
    assert done.status == 1
    assert "names tekana_apo, but there is no such role" in done.err


@pytest.fixture
def newer(fresh: Settings) -> dict[str, str]:
    """The settings during a rotation, with a customer and a webhook secret of before it in the database."""
    sealed = Sealer(fresh.pii_keys, "PII_KEYS").seal("1199")
    with transaction(fresh.database_url) as tx:
        db.customers.insert(tx, {UUID(int=1): made.registration("ada", national_id_sealed=sealed)})
        db.secrets.rotate(tx, UUID(int=2), Sealer(fresh.webhook_keys, "WEBHOOK_KEYS").seal("whsec_x"))
    key = base64.b64encode(b"k" * 32).decode()
    return {"PII_KEYS": f"new:{key},{fresh.pii_keys}", "WEBHOOK_KEYS": f"new:{key},{fresh.webhook_keys}"}


def test_secrets_are_sealed_anew_once(tekana: Tekana, fresh: Settings, newer: dict[str, str]) -> None:
    assert [tekana("reseal", **newer).out.splitlines() for _ in range(2)] == [
        [
            f"customers.national_id_sealed: {count} sealed anew",
            "customers.phone_sealed: 0 sealed anew",
            f"webhook_secrets.sealed: {count} sealed anew",
            "webhook_secrets.previous_sealed: 0 sealed anew",
        ]
        for count in (1, 0)
    ]
    with transaction(fresh.database_url) as tx:
        [sealed] = tx.scalars(text("SELECT national_id_sealed FROM customers"))
    assert Sealer(newer["PII_KEYS"].partition(",")[0], "PII_KEYS").open(sealed) == "1199"


def test_an_old_key_that_is_still_needed_is_missed_by_name(
    tekana: Tekana, fresh: Settings, newer: dict[str, str]
) -> None:
    assert fresh
    done = tekana("reseal", PII_KEYS=newer["PII_KEYS"].partition(",")[0])
    assert (done.status, done.out) == (1, "")
    assert f"customers {UUID(int=1)}: national_id_sealed is sealed with 'k1', a key that is not set" in done.err


@pytest.fixture
def under_way(fresh: Settings) -> tuple[UUID, Registration]:  # Queued before the rotation.
    payload = made.registration("eve", national_id_sealed=Sealer(fresh.pii_keys, "PII_KEYS").seal("1200"))
    with transaction(fresh.database_url) as tx:
        return made.job(tx, Kind.CUSTOMER_REGISTER, payload), payload


def test_registrations_under_way_are_said_to_need_the_old_key(
    tekana: Tekana, newer: dict[str, str], under_way: tuple[UUID, Registration]
) -> None:
    done = tekana("reseal", **newer)
    assert f"sealed with another key: registrations {under_way[0]}; run it again when they have ended" in done.err
    assert done.status == 1


def test_a_registration_that_becomes_a_row_behind_the_pages_is_not_passed_over(
    tekana: Tekana, fresh: Settings, newer: dict[str, str], under_way: tuple[UUID, Registration]
) -> None:
    (job_id, payload), url = under_way, fresh.database_url
    with ThreadPoolExecutor(1) as thread, databases.connected(url) as settling, databases.connected(url) as watcher:
        settling.execute(text("SELECT FROM webhook_secrets FOR UPDATE"))  # What comes after the pages of customers.
        resealing = thread.submit(tekana, "reseal", **newer)
        databases.wait_until_blocked(watcher, resealing)
        db.customers.insert(settling, {job_id: payload})
        db.jobs.finish(settling, [made.outcome(job_id, JobState.SUCCEEDED)])
        settling.commit()
    assert f"registrations {job_id}; run it again" in resealing.result(10).err
    assert tekana("reseal", **newer).out.startswith("customers.national_id_sealed: 1 sealed anew\n")


@pytest.fixture
def addresses(tmp_path: Path) -> str:
    file = tmp_path / "addresses"
    file.write_text("".join(f"Customer{number}@example.com\n" for number in range(100)))
    return str(file)


def test_the_addresses_that_the_next_share_lets_in_are_printed(
    tekana: Tekana, configured: Settings, addresses: str
) -> None:
    tenth = Cohort(key=configured.index_key.encode(), percent=10)
    emails = [f"customer{number}@example.com" for number in range(100)]
    assert tekana("cohort", "--percent", "10", addresses).out.split() == [one for one in emails if tenth.admits(one)]


@pytest.mark.usefixtures("configured")
def test_without_a_share_of_its_own_the_settings_say_who_is_served(tekana: Tekana, addresses: str) -> None:
    assert len(tekana("cohort", addresses).out.split()) == 100
    settled = {"COHORT_PERCENT": "0", "COHORT_MEMBERS": "customer7@example.com"}
    assert tekana("cohort", addresses, **settled).out == "customer7@example.com\n"


@pytest.mark.usefixtures("configured")
def test_a_line_that_is_no_address_is_named_by_its_number(tekana: Tekana, tmp_path: Path) -> None:
    (tmp_path / "addresses").write_text("ann@example.com\nnobody\n")
    done = tekana("cohort", str(tmp_path / "addresses"))
    assert (done.status, done.err) == (1, "tekana: line 2 is no e-mail address")


LOCAL = {"DATABASE_URL": "local", "SEAL_KEY": "left"}


@pytest.mark.parametrize(
    ("given", "adopted"),
    [
        ({}, LOCAL),
        ({"DATABASE_URL": ""}, LOCAL),
        ({"DATABASE_URL": "theirs"}, {"DATABASE_URL": "theirs", "SEAL_KEY": None}),
        ({"DATABASE_URL_FILE": "theirs"}, {"DATABASE_URL": None, "SEAL_KEY": None}),
        ({"SEAL_KEY": "theirs"}, {"DATABASE_URL": "local", "SEAL_KEY": "theirs"}),
        ({"SEAL_KEY_FILE": "theirs"}, {"DATABASE_URL": "local", "SEAL_KEY": None}),
    ],
)
def test_the_local_stack_is_adopted_unless_another_database_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], adopted: dict[str, str | None]
) -> None:
    (tmp_path / ENVIRONMENT_FILE).write_text(json.dumps(LOCAL))
    environment = {"DATA_DIR": str(tmp_path)} | given
    monkeypatch.setattr(os, "environ", environment)
    cli.adopt_local_stack()
    assert {name: environment.get(name) or None for name in LOCAL} == adopted


@pytest.fixture
def failed(fresh: Settings) -> list[UUID]:
    with transaction(fresh.database_url) as tx:
        ids = [made.job(tx) for _ in range(2)]
        db.jobs.finish(tx, [Outcome(job_id=one, state=JobState.FAILED, error=ATTEMPTS_EXHAUSTED) for one in ids])
    return ids


def test_a_failed_job_is_requeued_by_its_id(tekana: Tekana, fresh: Settings, failed: list[UUID]) -> None:
    assert tekana("jobs", "requeue", str(failed[0])).out == f"{failed[0]}\n"
    assert states(fresh, failed) == [JobState.QUEUED, JobState.FAILED]


def test_all_failed_jobs_are_requeued(tekana: Tekana, fresh: Settings, failed: list[UUID]) -> None:
    assert set(tekana("jobs", "requeue", "--all").out.split()) == {str(job_id) for job_id in failed}
    assert states(fresh, failed) == [JobState.QUEUED] * 2
    recorded = lines(tekana("audit", "actions", "--action", "job.requeue"))
    assert {one["object"] for one in recorded} == {str(job_id) for job_id in failed}


def states(fresh: Settings, job_ids: list[UUID]) -> list[JobState]:
    with transaction(fresh.database_url) as tx:
        stored = [db.jobs.find(tx, job_id) for job_id in job_ids]
    return [one.job.state for one in stored if one is not None]
