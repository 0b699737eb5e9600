"""The operator's verbs, as an operator runs them: a process of its own, its output and its exit status."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

import db.audit
import db.jobs
import db.keys
from db.engine import transaction
from domain.access import digest
from domain.jobs import ATTEMPTS_EXHAUSTED, JobState, Outcome
from settings import Settings
from tests import made

ROOT = Path(__file__).parents[1]


def tekana(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=ROOT,
        env=dict(os.environ) | changes,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[Any]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_new_key_is_printed_once_and_stored_as_its_digest(fresh: Settings) -> None:
    [printed] = lines(tekana("keys", "create", "--name", "n", "--scope", "jobs:read", "--scope", "*", "--json"))
    with transaction(fresh.database_url) as tx:
        key = db.keys.find_valid(tx, digest(printed["key"]))
    assert key is not None
    assert (str(key.id), key.name, key.scopes, key.expires_at) == (printed["id"], "n", ["*", "jobs:read"], None)


def test_a_key_may_end_by_itself(fresh: Settings) -> None:
    [printed] = lines(tekana("keys", "create", "--name", "n", "--scope", "*", "--days", "7", "--json"))
    with transaction(fresh.database_url) as tx:
        key = db.keys.find_valid(tx, digest(printed["key"]))
    assert key is not None
    assert key.expires_at is not None
    assert abs(key.expires_at - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)


def test_keys_are_listed_without_what_opens_doors(fresh: Settings) -> None:
    printed = lines(tekana("keys", "create", "--name", "n", "--scope", "*", "--json"))
    listed = tekana("keys", "list")
    assert fresh
    assert [key["id"] for key in lines(listed)] == [printed[0]["id"]]
    assert printed[0]["key"] not in listed.stdout


def test_a_key_is_revoked_once(fresh: Settings) -> None:
    [printed] = lines(tekana("keys", "create", "--name", "n", "--scope", "*", "--json"))
    assert [tekana("keys", "revoke", printed["id"]).returncode for _ in range(2)] == [0, 1]
    with transaction(fresh.database_url) as tx:
        assert db.keys.find_valid(tx, digest(printed["key"])) is None


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
def test_what_cannot_be_done_is_said_in_a_sentence(arguments: list[str], message: str) -> None:
    done = tekana(*arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"API_PORT": "eighty"}, "api_port"),
        ({"DATABASE_URL": "postgresql+psycopg://tekana@127.0.0.1:1/tekana"}, "the database refused or is away"),
    ],
)
def test_an_environment_that_does_not_work_is_said_in_a_sentence(changes: dict[str, str], message: str) -> None:
    done = tekana("keys", "list", **changes)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_migrating_what_is_up_to_date_changes_nothing(fresh: Settings) -> None:
    with transaction(fresh.database_url) as tx:
        made.transfer_between_two(tx)
    assert tekana("migrate").stdout == "The schema is up to date.\n"
    with transaction(fresh.database_url) as tx:
        assert tx.scalar(text("SELECT count(*) FROM transactions")) == 2


@pytest.fixture
def failed(fresh: Settings) -> list[UUID]:
    with transaction(fresh.database_url) as tx:
        ids = [made.job(tx) for _ in range(2)]
        db.jobs.finish(tx, [Outcome(job_id=one, state=JobState.FAILED, error=ATTEMPTS_EXHAUSTED) for one in ids])
    return ids


def test_a_failed_job_is_requeued_by_its_id(fresh: Settings, failed: list[UUID]) -> None:
    assert tekana("jobs", "requeue", str(failed[0])).stdout == f"{failed[0]}\n"
    assert states(fresh, failed) == [JobState.QUEUED, JobState.FAILED]


def test_all_failed_jobs_are_requeued(fresh: Settings, failed: list[UUID]) -> None:
    assert set(tekana("jobs", "requeue", "--all").stdout.split()) == {str(job_id) for job_id in failed}
    assert states(fresh, failed) == [JobState.QUEUED] * 2


def states(fresh: Settings, job_ids: list[UUID]) -> list[JobState]:
    with transaction(fresh.database_url) as tx:
        stored = [db.jobs.find(tx, job_id) for job_id in job_ids]
    return [one.job.state for one in stored if one is not None]


def test_an_audit_of_books_that_are_right_says_so(fresh: Settings) -> None:
    with transaction(fresh.database_url) as tx:
        made.transfer_between_two(tx)
    [verdict] = lines(tekana("audit", "verify", SEAL_KEY=made.SEAL_KEY.decode()))
    assert verdict == {"ok": True, "checks": len(db.audit.CHECKS)}


def test_an_audit_names_the_row_that_was_tampered_with_and_fails(fresh: Settings) -> None:
    with transaction(fresh.database_url) as tx:
        transfer = made.transfer_between_two(tx)
        tx.execute(text("SET LOCAL session_replication_role = replica"))
        tx.execute(text("UPDATE transactions SET description = 'gift' WHERE id = :id"), {"id": transfer})
    done = tekana("audit", "verify", SEAL_KEY=made.SEAL_KEY.decode())
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert {(one["invariant"], one["row"]) for one in findings} == {("I8 seals verify", f"transactions {transfer}")}
