"""Customers: registration, and who they are."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

import api.cohorts
import api.jobs
import api.pages
import db.customers
from api.errors import NotFound
from api.limits import Rate, address
from api.pages import LIMIT_DEFAULT, Cursor, Limit, Page
from api.pii import Vault
from api.runtime import AnyoneRequest, CallerRequest, Runtime, reads, runtime
from db.customers import StoredCustomer
from domain.access import Access, Caller, Scope
from domain.customers import (
    Customer,
    RegisterCustomer,
    Registration,
    normal_email,
    normal_name,
    normal_national_id,
    normal_phone,
)
from domain.jobs import Job, Kind

READ = {"access": Access(customers=True, scope=Scope.CUSTOMERS_READ)}
Email = Annotated[str | None, QueryParameter(max_length=254, description="Only the customer with this e-mail.")]


@post(
    "/v1/customers", status_code=202, opt={"access": Access(anyone=True, customers=True, keys=True)}, tags=["customers"]
)
async def register_customer(request: AnyoneRequest, data: JSONBody[RegisterCustomer]) -> Response[Job]:
    """Register a customer, with a first wallet if asked for."""
    shared = runtime(request)
    api.jobs.idempotency_key(request)
    email = normal_email(data.email)
    caller = _caller(shared, request.auth, email)
    is_stranger = not caller.startswith("key:")
    rates = {Rate.REGISTRATION: address(request)} if is_stranger else {}
    await shared.limits.hit(request.scope, {**rates, Rate.POST: caller})
    if is_stranger:
        api.cohorts.require(shared.cohort, email)
    registration = await _registration(shared, data, email)
    callback_url = data.callback_url
    return await api.jobs.submit(
        request, Kind.CUSTOMER_REGISTER, data, registration, caller=caller, callback_url=callback_url, is_counted=True
    )


def _caller(shared: Runtime, caller: Caller | None, email: str) -> str:
    """Without a key of ours, the e-mail is the caller, so that strangers with equal keys do not meet."""
    if caller is not None and caller.customer_id is None and caller.holds(Scope.CUSTOMERS_WRITE):
        return caller.subject
    return f"email:{shared.vault.index('email', email)}"


async def _registration(shared: Runtime, data: RegisterCustomer, email: str) -> Registration:
    """Normalise, then seal and hash: from here on nothing can be read."""
    national_id = normal_national_id(data.national_id)
    phone = None if data.phone is None else normal_phone(data.phone, shared.settings.default_phone_region)
    return Registration(
        full_name=normal_name(data.full_name),
        email=email,
        national_id_sealed=shared.vault.seal(national_id),
        national_id_index=shared.vault.index("national_id", national_id),
        phone_sealed=phone and shared.vault.seal(phone),
        phone_index=phone and shared.vault.index("phone", phone),
        gender=data.gender,
        password_hash=await shared.passwords.hash(data.password),
        wallet=data.wallet,
    )


@get("/v1/customers/me", opt={"access": Access(customers=True)}, tags=["customers"])
async def get_me(request: CallerRequest) -> Customer:
    """Read the customer whose token this is."""
    return await _find(request, request.auth.customer_id)


@get("/v1/customers/{customer_id:uuid}", opt=READ, tags=["customers"])
async def get_customer(request: CallerRequest, customer_id: FromPath[UUID]) -> Customer:
    """Read a customer. Customers find themselves only."""
    return await _find(request, customer_id)


@get("/v1/customers", opt=READ, tags=["customers"])
async def list_customers(
    request: CallerRequest, email: Email = None, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> Page[Customer]:
    """List customers, newest first. Customers find themselves only."""
    shared, before = runtime(request), api.pages.before_id(cursor)
    wanted = None if email is None else normal_email(email)
    if request.auth.customer_id is not None:
        me = await _find(request, request.auth.customer_id)
        found = [me] if before is None and wanted in {None, me.email} else []
        return Page(items=found, next_cursor=None)
    rows = await reads(request, after=cursor).run(db.customers.page, wanted, before, limit + 1)
    return api.pages.page([customer(shared.vault, row) for row in rows], limit, key=lambda one: one.id)


async def _find(request: CallerRequest, customer_id: UUID | None) -> Customer:
    caller, shared = request.auth, runtime(request)
    if customer_id is None or (caller.customer_id is not None and not caller.owns(customer_id)):
        raise NotFound
    row = await reads(request).run(db.customers.find, customer_id)
    if row is None:
        raise NotFound
    return customer(shared.vault, row)


def customer(vault: Vault, row: StoredCustomer) -> Customer:
    gender: Any = row.gender
    return Customer(
        id=row.id,
        full_name=row.full_name,
        email=row.email,
        phone=row.phone_sealed and vault.open(row.phone_sealed),
        gender=gender,
        national_id_last4=vault.open(row.national_id_sealed)[-4:],
        state=row.state,
        created_at=row.created_at,
    )


ROUTES = [register_customer, get_me, get_customer, list_customers]
