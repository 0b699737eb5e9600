"""Who calls: access tokens and API keys, checked on every route. A route that does not say who may call is closed."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import msgspec
import structlog
from cachetools import LRUCache
from litestar import Request
from uuid_utils.compat import uuid7

import api.caches
import db.keys
import db.sessions
import domain.access
from api.errors import Forbidden, Unauthenticated
from api.limits import address
from api.remembered import Remembered
from api.tokens import TokenKeys
from db.async_engine import AsyncTransactions
from db.sessions import Session
from domain.access import KEY_PREFIX, Access, Caller, digest
from settings import Settings

TOKENS_MAX = 20_000  # Whose claims are kept while they are good: 20 MB at most. To verify one takes 50 microseconds.


class Claim(msgspec.Struct, frozen=True):
    """Whom a token speaks for until it expires, as long as the session is alive."""

    caller: Caller
    session_id: UUID
    expires_at: float  # Seconds since 1970, as `exp` (RFC 7519, section 4.1.4).


class Authenticator:
    """Turns tokens into callers, and sessions into tokens."""

    def __init__(self, settings: Settings, database: AsyncTransactions) -> None:
        self._keys = TokenKeys(settings)
        self._seconds = settings.access_token_seconds
        self._sessions = Remembered(database, db.sessions.alive)
        self._api_keys = Remembered(database, db.keys.find_valid)
        self._claims: LRUCache[str, Claim] = LRUCache(TOKENS_MAX)

    async def caller(self, token: str) -> Caller:
        """Return who holds the token.

        Raises:
            Unauthenticated: nobody does, any more.

        """
        if token.startswith(KEY_PREFIX):
            key = await self._api_keys.find(digest(token))
            if key is None:
                raise Unauthenticated
            return domain.access.key(key.id, frozenset(key.scopes))
        claim = api.caches.find(self._claims, token) or self._verified(token)
        if claim.expires_at <= time.time():
            raise Unauthenticated
        if not claim.caller.owns(await self._sessions.find(claim.session_id)):
            raise Unauthenticated
        return claim.caller

    def _verified(self, token: str) -> Claim:
        try:
            claims = self._keys.verify(token)
        except jwt.InvalidTokenError:
            raise Unauthenticated from None
        claim = Claim(domain.access.customer(claims.sub), claims.sid, claims.exp)
        self._claims[token] = claim
        return claim

    def issue(self, session: Session) -> str:
        """Return an access token for a customer's session."""
        now = datetime.now(UTC)
        claims = {
            "sub": str(session.customer_id),
            "sid": str(session.id),
            "jti": str(uuid7()),
            "iat": now,
            "exp": now + timedelta(seconds=self._seconds),
        }
        return self._keys.sign(claims)

    async def stop(self) -> None:
        await self._sessions.stop()
        await self._api_keys.stop()

    def end(self, session_id: UUID) -> None:
        """Let no token of this session pass any more: it has just ended."""
        self._sessions.end(session_id)


async def authorise(request: Request[Any, Any, Any]) -> None:
    """Ask before every route by what it says in `opt={"access": Access(...)}`, and count whom it is for.

    A hook before the request, not a Litestar guard: for each guard Litestar copies the route handler.

    Raises:
        Unauthenticated: the route is not for anyone, and nobody is there.
        Forbidden: not for this caller; or the route does not say for whom it is.
        TooManyRequests: this caller, or network address without one, came too often.

    """
    if request.method == "OPTIONS":  # Litestar answers it from the routes themselves: nothing is read or done.
        request.scope["auth"] = None
        return
    access: Access | None = request.route_handler.opt.get("access")
    if access is None:
        raise Forbidden
    given = [] if access.is_the_same_for_all else request.headers.getall("authorization", [])
    if not given:
        request.scope["auth"] = None
        _count_stranger(request, access)
        if not access.anyone:
            raise Unauthenticated
        return
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not token:
        raise Unauthenticated
    shared = request.app.state.runtime
    try:
        caller = await shared.authenticator.caller(token.strip())
    except Unauthenticated:
        _count_stranger(request, access)
        raise
    shared.limits.take(request.scope, caller.subject)
    if not access.admits(caller):
        raise Forbidden
    request.scope["auth"] = caller
    structlog.contextvars.bind_contextvars(caller=caller.subject)


def _count_stranger(request: Request[Any, Any, Any], access: Access) -> None:
    """Count a request for where it comes from, but for what all may read alike: probes are never sent away."""
    if not access.is_open_to_read(request.method):
        request.app.state.runtime.limits.take(request.scope, address(request))
