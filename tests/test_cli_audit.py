"""`tekana audit`: books that are right, rows that are not, and what was kept of the chain."""

import json

import pytest
from sqlalchemy import text

import db.audit
import db.chain
from db.engine import transaction
from settings import Settings
from tests import committed, databases, made
from tests.verbs import Tekana, lines


def test_an_audit_of_books_that_are_right_says_so(tekana: Tekana, fresh: Settings) -> None:
    with transaction(fresh.database_url) as tx:
        made.transfer_between_two(tx)
    [verdict] = lines(tekana("audit", "verify", SEAL_KEY=made.SEAL_KEY.decode()))
    assert verdict == {"ok": True, "checks": len(db.audit.CHECKS) + 1}


def test_an_audit_may_be_as_of_a_moment(tekana: Tekana, fresh: Settings) -> None:
    with transaction(fresh.database_url) as tx:
        made.job(tx)
        tx.execute(text("UPDATE jobs SET due_at = '2026-11-24T10:00:00Z'"))
    key = made.SEAL_KEY.decode()
    assert tekana("audit", "verify", SEAL_KEY=key).status == 1
    assert tekana("audit", "verify", "--as-of", "2026-11-24T10:00:30Z", SEAL_KEY=key).status == 0
    assert tekana("audit", "verify", "--as-of", "2026-11-24T10:02:00.5+00:00", SEAL_KEY=key).status == 1


@pytest.mark.parametrize("moment", ["yesterday", "2026-11-24T10:00:00", "2026-11-24"])
def test_a_moment_without_a_zone_is_none(tekana: Tekana, moment: str) -> None:
    done = tekana("audit", "verify", "--as-of", moment, SEAL_KEY=made.SEAL_KEY.decode())
    assert done.status == 2
    assert "a time with its zone" in done.err


def test_an_audit_names_the_row_that_was_tampered_with_and_fails(tekana: Tekana, fresh: Settings) -> None:
    with transaction(fresh.database_url) as tx:
        transfer = made.transfer_between_two(tx)
        tx.execute(text("SET LOCAL session_replication_role = replica"))
        tx.execute(text("UPDATE transactions SET description = 'gift' WHERE id = :id"), {"id": transfer})
    done = tekana("audit", "verify", SEAL_KEY=made.SEAL_KEY.decode())
    findings = [json.loads(line) for line in done.out.splitlines()]
    assert done.status == 1
    assert {(one["invariant"], one["row"]) for one in findings} == {("I8 seals verify", f"transactions {transfer}")}


def test_a_head_that_was_kept_is_still_in_the_chain(tekana: Tekana, fresh: Settings) -> None:
    with databases.connected(fresh.database_url) as tx:
        made.transfer_between_two(tx)
        committed.wait_until_told(tx)
        assert db.chain.extend(tx) > 0
        tx.commit()
    key = made.SEAL_KEY.decode()
    [kept] = lines(tekana("audit", "head"))
    assert kept["block"] == 1
    assert tekana("audit", "verify", "--head", f"1:{kept['head']}", SEAL_KEY=key).status == 0
    done = tekana("audit", "verify", "--head", f"0:{kept['head']}", SEAL_KEY=key)
    assert (done.status, json.loads(done.out)["row"]) == (1, "blocks 0")


@pytest.mark.parametrize("head", ["", "1", "1:abc", "-1:" + "a" * 64, "1:" + "A" * 64, "x:" + "a" * 64])
def test_what_is_no_head_is_refused(tekana: Tekana, head: str) -> None:
    done = tekana("audit", "verify", "--head", head, SEAL_KEY=made.SEAL_KEY.decode())
    assert done.status == 2
    assert "its head of 64 hex digits" in done.err
