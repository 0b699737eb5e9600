"""Logging in, staying logged in, logging out."""

import contextlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from litestar import Request, Response, post
from litestar.datastructures import State
from litestar.params import JSONBody
from uuid_utils.compat import uuid7

import api.cohorts
import db.actions
import db.customers
import db.sessions
from api.errors import CustomerClosed, CustomerFrozen, InvalidCredentials, InvalidRefreshToken, TooManyRequests
from api.limits import Rate, address
from api.lockouts import Attempt
from api.runtime import Runtime, runtime
from db.actions import Filter
from db.customers import StoredCustomer
from db.sessions import Reused, Session
from domain.access import Access, digest
from domain.actions import Action
from domain.customers import PASSWORD_MAX, CustomerState, normal_email
from domain.errors import InvalidField

ANYONE = {"access": Access(anyone=True)}
TOKEN_BYTES = 32
AnonymousRequest = Request[None, None, State]


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Annotated[str, msgspec.Meta(max_length=254)]
    password: Annotated[str, msgspec.Meta(max_length=PASSWORD_MAX)]


class Refresh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    refresh_token: Annotated[str, msgspec.Meta(max_length=200)]


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for the Authorization header (RFC 6750), and the one that renews it."""

    access_token: str
    token_type: str
    expires_in: int  # Seconds.
    refresh_token: str


@post("/v1/auth/login", status_code=200, opt=ANYONE, tags=["auth"])
async def log_in(request: AnonymousRequest, data: JSONBody[Login]) -> Response[Tokens]:
    """Exchange e-mail and password for tokens.

    After some failures in a row the next login has to wait, up to 15 minutes, whether or not the e-mail is somebody's.
    Refresh tokens go on working meanwhile, and what fails elsewhere holds up nobody where they have logged in before.
    """
    shared = runtime(request)
    email = _email(data.email)
    index, network = shared.vault.index("email", email), address(request)
    place = shared.vault.index("place", f"{index}:{network}")
    # Not of the e-mail alone: whoever comes from elsewhere would use it up for its owner.
    await shared.limits.hit(request.scope, {Rate.LOGIN: place, Rate.LOGIN_ADDRESS: network})
    api.cohorts.require(shared.cohort, email)  # Before the password: the answer tells nobody who has an account.
    customer = await shared.database.run_statements(db.customers.find_by_email, email)
    is_known = await shared.database.run_statements(db.sessions.is_known, place)
    await _expect_imported(shared)
    attempt = await shared.lockouts.begin(index, place, is_known=is_known)
    if not await _is_right(shared, attempt, data.password, customer) or customer is None:
        raise InvalidCredentials
    await shared.lockouts.succeed(attempt)
    _require_open(customer)
    await _renew_hash(shared, customer, data.password)
    session = Session(id=uuid7(), customer_id=customer.id)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    expires_at = datetime.now(UTC) + timedelta(days=shared.settings.refresh_token_days)
    await shared.database.run(db.sessions.start, session, digest(token), expires_at, place=place)
    return _tokens(shared, session, token)


async def _expect_imported(shared: Runtime) -> None:
    """Before the first of their passwords is compared: the first refusal, too, takes no longer than any other."""
    if not shared.passwords.expects_others:
        imports = await shared.database.run_statements(db.actions.page, Filter(action=Action.IMPORT_RUN), None, 1)
        shared.passwords.expects_others |= bool(imports)


async def _is_right(shared: Runtime, attempt: Attempt, password: str, customer: StoredCustomer | None) -> bool:
    """Compare; a password that too many others wait before is no wrong one."""
    try:
        return await shared.passwords.verify(password, None if customer is None else customer.password_hash)
    except TooManyRequests:
        await shared.lockouts.withdraw(attempt)
        raise


def _require_open(customer: StoredCustomer) -> None:
    """After the password: the answer tells nobody else how a customer stands."""
    if customer.state is CustomerState.FROZEN:
        raise CustomerFrozen
    if customer.state is CustomerState.CLOSED:
        raise CustomerClosed


async def _renew_hash(shared: Runtime, customer: StoredCustomer, password: str) -> None:
    """Put a hash of ours in the place of one from a previous platform; if too many others wait, next time."""
    if shared.passwords.is_foreign(customer.password_hash):
        with contextlib.suppress(TooManyRequests):
            renewed = await shared.passwords.hash(password)
            await shared.database.run(db.customers.replace_hash, customer.id, customer.password_hash, renewed)


def _email(text: str) -> str:
    """A malformed e-mail is nobody's: it is looked up like any other, and takes as long."""
    try:
        return normal_email(text)
    except InvalidField:
        return text.lower()


@post("/v1/auth/refresh", status_code=200, opt=ANYONE, tags=["auth"])
async def refresh(request: AnonymousRequest, data: JSONBody[Refresh]) -> Response[Tokens]:
    """Exchange a refresh token for new tokens. It works once: a second use ends the session."""
    shared = runtime(request)
    await _require_admitted(shared, digest(data.refresh_token))
    token = secrets.token_urlsafe(TOKEN_BYTES)
    session = await shared.database.run(db.sessions.rotate, digest(data.refresh_token), digest(token))
    if isinstance(session, Reused):
        shared.authenticator.end(session.session_id)
    if not isinstance(session, Session):
        raise InvalidRefreshToken
    return _tokens(shared, session, token)


async def _require_admitted(shared: Runtime, token_digest: bytes) -> None:
    """Ask before the token is used up: who is sent away and later comes back goes on with it."""
    if shared.cohort.is_everybody:
        return
    email = await shared.database.run(db.sessions.email, token_digest)
    if email is not None:
        api.cohorts.require(shared.cohort, email)


@post("/v1/auth/logout", status_code=204, opt=ANYONE, tags=["auth"])
async def log_out(request: AnonymousRequest, data: JSONBody[Refresh]) -> None:
    """End the session of a refresh token, and its access tokens with it."""
    shared = runtime(request)
    session_id = await shared.database.run(db.sessions.revoke_by_token, digest(data.refresh_token))
    if session_id is None:
        raise InvalidRefreshToken
    shared.authenticator.end(session_id)


def _tokens(shared: Runtime, session: Session, refresh_token: str) -> Response[Tokens]:
    body = Tokens(
        access_token=shared.authenticator.issue(session),
        token_type="Bearer",  # noqa: S106 - RFC 6750's name of the scheme
        expires_in=shared.settings.access_token_seconds,
        refresh_token=refresh_token,
    )
    return Response(body, headers={"Cache-Control": "no-store"})


ROUTES = [log_in, refresh, log_out]
