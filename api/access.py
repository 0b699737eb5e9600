"""Who calls: access tokens and API keys, checked on every route. A route that does not say who may call is closed."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import structlog
from cachetools import TTLCache
from litestar import Request
from uuid_utils.compat import uuid7

import db.keys
import db.sessions
import domain.access
from api.errors import Forbidden, Unauthenticated
from api.together import Together
from api.tokens import TokenKeys
from db.async_engine import AsyncTransactions
from db.sessions import Session
from domain.access import KEY_PREFIX, Access, Caller, digest
from settings import Settings

# How long a revoked key or session may still pass in a process: it saves a query per request.
REMEMBER_SECONDS = 1
REMEMBER_MAX = 100_000


class Authenticator:
    """Turns tokens into callers, and sessions into tokens."""

    def __init__(self, settings: Settings, database: AsyncTransactions) -> None:
        self._keys = TokenKeys(settings)
        self._seconds = settings.access_token_seconds
        self._database = database
        self._sessions = Together(database, db.sessions.alive)
        self._callers: TTLCache[str, asyncio.Task[Caller | None]] = TTLCache(REMEMBER_MAX, REMEMBER_SECONDS)

    async def caller(self, token: str) -> Caller:
        """Return who holds the token.

        Raises:
            Unauthenticated: nobody does, any more.

        """
        task = self._callers.get(token)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._callers[token] = asyncio.ensure_future(self._find(token))
        if not task.done():
            # Shielded: requests share the look-up, and one that goes away must not take it from the others.
            await asyncio.shield(task)
        if (found := task.result()) is None:
            raise Unauthenticated
        return found

    async def _find(self, token: str) -> Caller | None:
        if token.startswith(KEY_PREFIX):
            key = await self._database.run(db.keys.find_valid, digest(token))
            return None if key is None else domain.access.key(key.id, frozenset(key.scopes))
        caller = self._decode(token)
        if caller is None or caller.session_id is None:
            return None
        return caller if await self._sessions.find(caller.session_id) else None

    def _decode(self, token: str) -> Caller | None:
        try:
            claims = self._keys.verify(token)
            return domain.access.customer(UUID(str(claims["sub"])), UUID(str(claims["sid"])))
        except (jwt.InvalidTokenError, ValueError):
            return None

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

    def forget(self) -> None:
        """Ask the database again for everybody: a session has just ended."""
        self._callers.clear()


async def authorise(request: Request[Any, Any, Any]) -> None:
    """Ask before every route by what it says in `opt={"access": Access(...)}`.

    A hook before the request, not a Litestar guard: for each guard Litestar copies the route handler.

    Raises:
        Unauthenticated: the route is not for anyone, and nobody is there.
        Forbidden: not for this caller; or the route does not say for whom it is.

    """
    if request.method == "OPTIONS":  # Litestar answers it from the routes themselves: nothing is read or done.
        request.scope["auth"] = None
        return
    access: Access | None = request.route_handler.opt.get("access")
    if access is None:
        raise Forbidden
    header = None if access.is_the_same_for_all else request.headers.get("authorization")
    if header is None:
        request.scope["auth"] = None
        if not access.anyone:
            raise Unauthenticated
        return
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated
    caller = await request.app.state.runtime.authenticator.caller(token.strip())
    if not access.admits(caller):
        raise Forbidden
    request.scope["auth"] = caller
    structlog.contextvars.bind_contextvars(caller=caller.subject)
