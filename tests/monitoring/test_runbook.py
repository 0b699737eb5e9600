"""What the runbook names is there, and its questions to the database find what they are asked for."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, text

import db.locks
from domain.jobs import JobState, Kind
from tests import made
from tests.databases import server_process, wait_until_blocked
from tests.monitoring import queries

PAGE = (queries.ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ALERTS = PAGE.partition("\n## Alerts\n")[2]
QUERIES = re.findall(r"^```sql\n(.+?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def asked(tx: Connection, word: str) -> list[dict[str, Any]]:
    [query] = [one for one in QUERIES if word in one]
    return [dict(row) for row in tx.execute(text(query)).mappings()]


@pytest.mark.parametrize("query", QUERIES)
def test_what_is_to_be_asked_names_columns_that_there_are(tx: Connection, query: str) -> None:
    tx.execute(text(query))


def test_a_panel_that_is_to_be_looked_at_is_on_a_dashboard() -> None:
    titles = {panel["title"] for board in queries.dashboards().values() for panel in board["panels"]}
    named = {" ".join(one.split()) for one in re.findall(r'"([A-Z][^"]+)"', ALERTS)}
    assert len(named) > 20
    assert named - titles == set()


def test_failed_jobs_and_replays_are_found(tx: Connection) -> None:
    failed, replay = made.ended(tx, Kind.DEPOSIT_CREATE, JobState.FAILED), made.job(tx, Kind.WEBHOOK_REPLAY)
    assert [row["id"] for row in asked(tx, "state = 'failed'")] == [failed]
    assert [row["id"] for row in asked(tx, "webhook.replay")] == [replay]


def test_endpoints_that_fail_or_are_off_are_found_with_their_owner(tx: Connection) -> None:
    key_id = made.api_key(tx)
    made.endpoint(tx, key_id)
    off, failing = made.endpoint(tx, key_id, enabled=False), made.endpoint(tx, key_id)
    tx.execute(text("UPDATE webhook_endpoints SET failing_since = now() WHERE id = :id"), {"id": failing})
    assert {row["id"] for row in asked(tx, "webhook_endpoints")} == {off, failing}


def test_the_session_that_holds_the_sweepers_lock_is_found(tx: Connection) -> None:
    assert db.locks.try_sweep(tx)
    assert [row["pid"] for row in asked(tx, "advisory")] == [server_process(tx)]


def test_who_waits_is_found_with_the_session_that_it_waits_for(
    tx: Connection, api_tx: Connection, worker_tx: Connection
) -> None:
    holder, waiter, lock = server_process(api_tx), server_process(worker_tx), text("SELECT pg_advisory_xact_lock(1)")
    api_tx.execute(lock)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(worker_tx.execute, lock)
        wait_until_blocked(tx, waiting)
        found = {row["pid"]: row["pg_blocking_pids"] for row in asked(tx, "pg_blocking_pids")}
        api_tx.rollback()
        waiting.result()
    assert found[waiter] == [holder]
