from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

import db.sessions
from db.sessions import Reused, Session
from tests import made

LATER = timedelta(days=30)


@pytest.fixture
def session(tx: Connection) -> Session:
    """A session whose refresh token has the digest `first`."""
    return started(tx, LATER)


def started(tx: Connection, lasting: timedelta, digest: bytes = b"first") -> Session:
    session = Session(id=uuid7(), customer_id=made.customer(tx))
    db.sessions.start(tx, session, digest, datetime.now(UTC) + lasting)
    return session


def is_alive(tx: Connection, session_id: UUID) -> bool:
    return session_id in db.sessions.alive(tx, [session_id, uuid7()])


def test_a_refresh_token_is_exchanged_for_the_next_one(tx: Connection, session: Session) -> None:
    assert db.sessions.rotate(tx, b"first", b"second") == session
    assert db.sessions.rotate(tx, b"second", b"third") == session
    assert is_alive(tx, session.id)


@pytest.mark.parametrize("reused", [b"first", b"second"])
def test_a_refresh_token_used_twice_ends_the_whole_family(tx: Connection, session: Session, reused: bytes) -> None:
    db.sessions.rotate(tx, b"first", b"second")
    db.sessions.rotate(tx, b"second", b"third")
    assert db.sessions.rotate(tx, reused, b"stolen") == Reused(session.id)
    assert db.sessions.rotate(tx, b"third", b"fourth") is None
    assert not is_alive(tx, session.id)


@pytest.mark.parametrize("state", ["frozen", "closed"])
def test_a_session_speaks_for_nobody_while_its_customer_is_not_open(
    tx: Connection, session: Session, state: str
) -> None:
    tx.execute(text("UPDATE customers SET state = :state WHERE id = :id"), {"state": state, "id": session.customer_id})
    assert not is_alive(tx, session.id)
    assert db.sessions.rotate(tx, b"first", b"second") is None


def test_a_refresh_token_tells_whose_it_is_however_often_it_was_used(tx: Connection, session: Session) -> None:
    db.sessions.rotate(tx, b"first", b"second")
    owner = f"{session.customer_id.hex}@example.rw"
    assert [db.sessions.email(tx, digest) for digest in (b"first", b"second", b"guessed")] == [owner, owner, None]


def test_an_unknown_token_is_exchanged_for_nothing(tx: Connection, session: Session) -> None:
    assert db.sessions.rotate(tx, b"guessed", b"second") is None
    assert is_alive(tx, session.id)


def test_an_expired_session_gives_no_token_and_speaks_for_nobody(tx: Connection) -> None:
    session = started(tx, -timedelta(seconds=1))
    assert db.sessions.rotate(tx, b"first", b"second") is None
    assert not is_alive(tx, session.id)


def test_a_logout_ends_the_session_of_its_token_and_no_other(tx: Connection, session: Session) -> None:
    other = started(tx, LATER, b"other")
    assert db.sessions.revoke_by_token(tx, b"first") == session.id
    assert db.sessions.rotate(tx, b"first", b"second") is None
    assert [is_alive(tx, one.id) for one in (session, other)] == [False, True]


def test_a_logout_with_an_unknown_token_ends_nothing(tx: Connection, session: Session) -> None:
    assert db.sessions.revoke_by_token(tx, b"guessed") is None
    assert is_alive(tx, session.id)


@pytest.mark.parametrize(
    ("lasting", "ends", "known"),
    [(LATER, False, True), (LATER, True, True), (-timedelta(seconds=1), False, False)],
    ids=["alive", "logged out", "expired"],
)
def test_a_place_is_known_for_as_long_as_a_session_that_began_there_may_last(
    tx: Connection,
    lasting: timedelta,
    ends: bool,  # noqa: FBT001 - a column
    known: bool,  # noqa: FBT001 - a column
) -> None:
    session = Session(id=uuid7(), customer_id=made.customer(tx))
    db.sessions.start(tx, session, b"first", datetime.now(UTC) + lasting, place="here")
    if ends:
        db.sessions.revoke(tx, session.id)
    assert [db.sessions.is_known(tx, one) for one in ("here", "there")] == [known, False]


def test_a_session_that_never_was_is_not_alive(tx: Connection) -> None:
    assert not is_alive(tx, uuid7())


def test_a_second_logout_keeps_the_time_of_the_first(tx: Connection, session: Session) -> None:
    db.sessions.revoke(tx, session.id)
    tx.execute(text("UPDATE sessions SET revoked_at = '2026-01-01'"))
    db.sessions.revoke(tx, session.id)
    assert tx.scalar(text("SELECT revoked_at FROM sessions")) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("ended", "purged"), [(timedelta(hours=23), 0), (timedelta(hours=25), 1)])
def test_a_session_that_ended_more_than_a_day_ago_goes_with_its_tokens(
    tx: Connection, ended: timedelta, purged: int
) -> None:
    started(tx, LATER, b"alive")
    started(tx, -ended, b"ended")
    assert db.sessions.purge(tx) == purged
    assert tx.scalar(text("SELECT count(*) FROM refresh_tokens")) == 2 - purged


def test_the_apis_role_can_log_in_refresh_and_log_out(tx: Connection, api_tx: Connection) -> None:
    assert tx
    assert db.sessions.rotate(api_tx, b"first", b"second") is None
    assert db.sessions.revoke_by_token(api_tx, b"first") is None


def test_the_workers_role_can_purge(worker_tx: Connection) -> None:
    assert db.sessions.purge(worker_tx) == 0
