"""Sessions: a login, and the chain of refresh tokens that keeps it alive. Only digests are stored."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select, text

from db.rows import uuids
from db.tables import customers, refresh_tokens, sessions


class Session(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    customer_id: UUID


class Reused(msgspec.Struct, frozen=True):
    """A refresh token came a second time, and its session has ended with it."""

    session_id: UUID


def start(
    connection: Connection, session: Session, digest: bytes, expires_at: datetime, *, place: str | None = None
) -> None:
    """Begin a session with its first refresh token; `place` is a hash of whose it is and where it begins."""
    values = {"id": session.id, "customer_id": session.customer_id, "expires_at": expires_at, "place": place}
    connection.execute(sessions.insert().values(values))
    connection.execute(refresh_tokens.insert().values(digest=digest, session_id=session.id))


def is_known(connection: Connection, place: str) -> bool:
    """Whether a session has begun there that may still be alive, or was until its customer logged out."""
    return bool(connection.scalar(IS_KNOWN, {"place": place}))


IS_KNOWN = text("SELECT EXISTS (SELECT FROM sessions WHERE place = :place AND expires_at > now())")


def rotate(connection: Connection, digest: bytes, next_digest: bytes) -> Session | Reused | None:
    """Exchange a refresh token for the next one; None when it is unknown, expired or revoked.

    A token that comes a second time was stolen, or its theft is being undone: either way the whole
    family ends (RFC 9700, section 4.14.2).
    """
    row = connection.execute(FIND_FOR_ROTATION, {"digest": digest}).first()
    if row is None or not row.is_alive:
        return None
    if row.used_at is not None:
        revoke(connection, row.session_id)
        return Reused(row.session_id)
    connection.execute(text("UPDATE refresh_tokens SET used_at = now() WHERE digest = :digest"), {"digest": digest})
    connection.execute(refresh_tokens.insert().values(digest=next_digest, session_id=row.session_id))
    return Session(id=row.session_id, customer_id=row.customer_id)


FIND_FOR_ROTATION = text("""
    SELECT session_id, customer_id, used_at,
           revoked_at IS NULL AND expires_at > now() AND customers.state = 'open' AS is_alive
      FROM refresh_tokens JOIN sessions ON sessions.id = session_id JOIN customers ON customers.id = customer_id
     WHERE digest = :digest FOR UPDATE OF refresh_tokens, sessions
""")


def revoke(connection: Connection, session_id: UUID) -> None:
    connection.execute(
        text("UPDATE sessions SET revoked_at = coalesce(revoked_at, now()) WHERE id = :id"), {"id": session_id}
    )


def revoke_by_token(connection: Connection, digest: bytes) -> UUID | None:
    """End the session of a refresh token; return its id, or None for an unknown token."""
    query = select(refresh_tokens.c.session_id).where(refresh_tokens.c.digest == digest)
    session_id: UUID | None = connection.scalar(query)
    if session_id is not None:
        revoke(connection, session_id)
    return session_id


def email(connection: Connection, digest: bytes) -> str | None:
    """Return the e-mail of the customer to whom a refresh token was given."""
    families = refresh_tokens.join(sessions, sessions.c.id == refresh_tokens.c.session_id)
    holders = families.join(customers, customers.c.id == sessions.c.customer_id)
    query = select(customers.c.email).select_from(holders).where(refresh_tokens.c.digest == digest)
    found: str | None = connection.scalar(query)
    return found


def alive(connection: Connection, session_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return the customers that those of the sessions speak for which have not ended.

    Freezing a customer ends the sessions that there are; one that a login begins at the same moment speaks for nobody.
    """
    rows = connection.execute(ALIVE, {"ids": uuids(session_ids)})
    return {row.id: row.customer_id for row in rows}


ALIVE = text("""
    SELECT sessions.id, customer_id
      FROM sessions JOIN customers ON customers.id = customer_id
     WHERE sessions.id = ANY(CAST(:ids AS uuid[])) AND revoked_at IS NULL AND expires_at > now()
       AND customers.state = 'open'
""")


def purge(connection: Connection) -> int:
    """Delete the sessions, and with them the tokens, that ended a day ago or earlier; return how many."""
    return connection.execute(text("DELETE FROM sessions WHERE expires_at < now() - interval '1 day'")).rowcount
