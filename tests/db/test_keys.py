from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection
from uuid_utils.compat import uuid7

import db.keys
from db.keys import NewKey
from tests.databases import refused_by

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)


def inserted(tx: Connection, digest: bytes = b"digest", expires_at: datetime | None = None) -> UUID:
    key = NewKey(id=uuid7(), name="reports", digest=digest, scopes=["jobs:read"], expires_at=expires_at)
    db.keys.insert(tx, key)
    return key.id


@pytest.mark.parametrize(("lifetime", "is_valid"), [(None, True), (MINUTE, True), (-MINUTE, False)])
def test_a_key_is_valid_until_it_expires(tx: Connection, lifetime: timedelta | None, is_valid: object) -> None:
    inserted(tx, expires_at=None if lifetime is None else datetime.now(UTC) + lifetime)
    assert bool(db.keys.find_valid(tx, [b"digest"])) is is_valid


def test_a_key_is_found_by_its_digest_with_its_name_and_scopes(tx: Connection) -> None:
    key_id = inserted(tx)
    found = db.keys.find_valid(tx, [b"digest", b"other digest"])
    assert found.keys() == {b"digest"}
    key = found[b"digest"]
    assert (key.id, key.name, key.scopes, key.revoked_at) == (key_id, "reports", ["jobs:read"], None)


def test_a_key_is_revoked_once_and_for_good(tx: Connection) -> None:
    key_id = inserted(tx)
    assert [db.keys.revoke(tx, key_id) for _ in range(2)] == [True, False]
    assert db.keys.find_valid(tx, [b"digest"]) == {}


def test_revoking_ends_the_named_key_only(tx: Connection) -> None:
    inserted(tx)
    assert not db.keys.revoke(tx, uuid7())
    assert db.keys.revoke(tx, inserted(tx, b"other digest"))
    assert db.keys.find_valid(tx, [b"digest"]).keys() == {b"digest"}


def test_every_key_is_listed_oldest_first_also_those_that_ended(tx: Connection) -> None:
    ids = [inserted(tx, b"1"), inserted(tx, b"2", NOW - MINUTE), inserted(tx, b"3")]
    db.keys.revoke(tx, ids[0])
    assert [key.id for key in db.keys.every(tx)] == ids


def test_two_keys_never_share_a_digest(tx: Connection) -> None:
    inserted(tx)
    with refused_by("api_keys_digest_unique"):
        inserted(tx)


def test_the_apis_role_reads_keys(api_tx: Connection) -> None:
    assert db.keys.find_valid(api_tx, [b"digest"]) == {}
