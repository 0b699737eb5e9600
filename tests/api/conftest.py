"""Who calls: an operator, anyone, two customers with money, and keys with any scopes."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, create_engine, text
from uuid_utils.compat import uuid7

import db.keys
from domain.access import KEY_PREFIX, digest
from local.stack import Stack
from tests import sinks
from tests.api.clients import Api, Customer, Integrator, connect, deposit, register
from tests.api.listeners import Listener
from tests.sinks import Sinks

FUNDS = 1_000_000  # Minor units: what the tests of a module move does not empty a wallet by accident.

Sql = Callable[..., list[dict[str, Any]]]
NewKey = Callable[..., Api]


@pytest.fixture(scope="session")
def anyone(stack: Stack) -> Iterator[Api]:
    with connect(stack.api_url) as http:
        yield Api(http)


@pytest.fixture(scope="session")
def operator(stack: Stack, anyone: Api) -> Api:
    printed = stack.command("keys", "create", "--scope", "*", "--name", "operator", "--json")
    return anyone.holding(msgspec.json.decode(printed)["key"])


@pytest.fixture(scope="session")
def owner(stack: Stack) -> Iterator[Engine]:
    """The database as its owner, for what no caller may do."""
    engine = create_engine(stack.database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def sql(owner: Engine) -> Sql:
    """Run one statement and return its rows."""

    def run(statement: str, **parameters: Any) -> list[dict[str, Any]]:
        with owner.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    return run


@pytest.fixture(scope="session")
def new_key(anyone: Api, owner: Engine) -> NewKey:
    """Make a client with an API key of these scopes."""

    def make(*scopes: str) -> Api:
        token = KEY_PREFIX + secrets.token_urlsafe(32)
        with owner.begin() as connection:
            db.keys.insert(connection, db.keys.NewKey(id=uuid7(), name="test", digest=digest(token), scopes=scopes))
        return anyone.holding(token)

    return make


@pytest.fixture(scope="session")
def new_integrator(stack: Stack, anyone: Api) -> Callable[..., Integrator]:
    """Make a key as an operator does, with a secret for its callbacks."""

    def make(*scopes: str) -> Integrator:
        options = [word for scope in scopes for word in ("--scope", scope)]
        made = msgspec.json.decode(stack.command("keys", "create", "--name", "integrator", "--json", *options))
        return Integrator(api=anyone.holding(made["key"]), id=made["id"], callback_secret=made["callback_secret"])

    return make


@pytest.fixture(scope="session")
def sink() -> Iterator[Sinks]:
    """Where webhooks of these tests go."""
    with sinks.serving() as made:
        yield made


@pytest.fixture(scope="session")
def new_customer(anyone: Api, operator: Api) -> Callable[..., Customer]:
    """Register a customer with a wallet that holds `funds`."""

    def make(funds: int = 0, **changes: Any) -> Customer:
        customer = register(anyone, **changes)
        if funds:
            currency = customer.registration["wallet"]["currency"]
            operator.succeeded("/v1/deposits", deposit(customer.wallet_id, funds, currency=currency))
        return customer

    return make


@pytest.fixture
def listener(new_key: NewKey, sink: Sinks, ann: Customer) -> Iterator[Listener]:
    """Somebody who pays money into Ann's wallet and hears of nothing else: their log is the test's alone."""
    made = Listener(new_key("webhooks:read", "webhooks:write", "deposits:write"), sink, ann)
    yield made
    made.close()


@pytest.fixture(scope="module")
def ann(new_customer: Callable[..., Customer]) -> Customer:
    return new_customer(FUNDS, full_name="Ann Uwase")


@pytest.fixture(scope="module")
def bob(new_customer: Callable[..., Customer]) -> Customer:
    return new_customer(FUNDS, full_name="Bob Mugisha", gender="M")
