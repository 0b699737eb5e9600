"""Each caller asks each operation for each object of the others, by path, query and body: it is as if there were none.

The operations come from the application's routes and its description: one that is new stands in no table here, and
fails until somebody has said how it names objects.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias
from uuid import uuid4

import httpx2
import msgspec
import pytest

import api.examples
import api.openapi
from api.app import create_litestar
from domain.access import Access, Scope
from domain.states import Verb
from tests.api.clients import Api, Customer, bare, deposit, problem
from tests.api.conftest import NewKey
from tests.sinks import Sinks


def last_of(place: str) -> str:
    """Return the name at the end of a place such as `body.items.wallet_id`."""
    return place.rpartition(".")[2]


# How each operation names objects. `body.items.x` is a field of each item.
NAMED = {
    "GET /v1/customers/{customer_id}": ["path.customer_id"],
    "POST /v1/wallets": ["body.customer_id"],
    "GET /v1/wallets": ["query.customer_id"],
    "GET /v1/wallets/{wallet_id}": ["path.wallet_id"],
    "GET /v1/wallets/{wallet_id}/entries": ["path.wallet_id"],
    "POST /v1/deposits": ["body.wallet_id"],
    "POST /v1/withdrawals": ["body.wallet_id"],
    "POST /v1/transfers": ["body.source_wallet_id", "body.destination_wallet_id", "body.destination_number"],
    "POST /v1/transfers/bulk": [
        "body.items.source_wallet_id",
        "body.items.destination_wallet_id",
        "body.items.destination_number",
    ],
    **{f"POST /v1/wallets/{{wallet_id}}/{verb}": ["path.wallet_id"] for verb in Verb},
    **{f"POST /v1/customers/{{customer_id}}/{verb}": ["path.customer_id"] for verb in Verb},
    "GET /v1/transactions/{transaction_id}": ["path.transaction_id"],
    "GET /v1/transactions": ["query.wallet_id"],
    "GET /v1/jobs/{job_id}": ["path.job_id"],
    "GET /v1/jobs/{job_id}/events": ["path.job_id"],
    "POST /v1/jobs/{job_id}/cancel": ["path.job_id"],
    "GET /v1/events/{event_id}": ["path.event_id"],
    "GET /v1/webhook-endpoints/{endpoint_id}": ["path.endpoint_id"],
    "PATCH /v1/webhook-endpoints/{endpoint_id}": ["path.endpoint_id"],
    "DELETE /v1/webhook-endpoints/{endpoint_id}": ["path.endpoint_id"],
    "POST /v1/webhook-endpoints/{endpoint_id}/test": ["path.endpoint_id"],
    "POST /v1/webhook-endpoints/{endpoint_id}/rotate-secret": ["path.endpoint_id"],
    "POST /v1/webhook-endpoints/{endpoint_id}/replay": ["path.endpoint_id"],
    "GET /v1/webhook-deliveries": ["query.endpoint_id"],
    "GET /v1/webhook-deliveries/{delivery_id}": ["path.delivery_id"],
    "POST /v1/webhook-deliveries/{delivery_id}/redeliver": ["path.delivery_id"],
}
# Operations that name nothing. Of lists, that nothing of the others is in them.
LISTS = [
    "GET /v1/customers",
    "GET /v1/wallets",
    "GET /v1/transactions",
    "GET /v1/jobs",
    "GET /v1/events",
    "GET /v1/webhook-endpoints",
    "GET /v1/webhook-deliveries",
    "GET /v1/audit/actions",
    "GET /v1/audit/head",
]
OWN = ["GET /v1/customers/me", "POST /v1/callbacks/rotate-secret", "POST /v1/webhook-endpoints"]
OF_NOBODY = [
    "GET /v1/event-types",
    "POST /v1/customers",
    "POST /v1/auth/login",
    "POST /v1/auth/refresh",
    "POST /v1/auth/logout",
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
    "GET /openapi.json",
]
# Whom one pays is anybody.
PAYEES = {"destination_wallet_id", "destination_number"}
# A list narrowed to somebody else's is empty, and with an unknown one as well.
EMPTY = {("GET /v1/wallets", "query.customer_id"), ("GET /v1/webhook-deliveries", "query.endpoint_id")}

CALLERS = ["ann", "bob", "narrow", "other", "nobody"]
HOLDERS = ["ann", "bob", "narrow", "keeper", "other"]
PAIRS = [(route, place) for route, places in NAMED.items() for place in places if last_of(place) not in PAYEES]
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/wallets": {"currency": "RWF"},
    "POST /v1/deposits": {"amount": 1, "currency": "RWF"},
    "POST /v1/withdrawals": {"amount": 1, "currency": "RWF"},
    "POST /v1/transfers": {"amount": 1, "currency": "RWF"},
    "POST /v1/transfers/bulk": {"mode": "independent"},
    "PATCH /v1/webhook-endpoints/{endpoint_id}": {"description": "taken over"},
    "POST /v1/webhook-endpoints/{endpoint_id}/replay": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:01Z"},
}

Objects: TypeAlias = Mapping[str, Mapping[str, str]]  # Holder, then what it is called where it is named.


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    path: str
    access: Access

    def admits(self, caller: str) -> bool:
        if caller in {"ann", "bob"}:
            return self.access.customers
        return self.access.keys or self.access.scope in SCOPES[caller]


SCOPES: dict[str, set[Scope]] = {
    "narrow": {Scope.DEPOSITS_WRITE},
    "other": {Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE},
}


def operations() -> dict[str, Operation]:
    """Return every operation of the application but the pages of the documentation."""
    found = {}
    for route in create_litestar().routes:
        path = route.path.replace(":uuid", "")
        for handler in getattr(route, "route_handlers", []):
            for method in getattr(handler, "http_methods", set()) - {"OPTIONS"}:
                if not path.startswith("/docs"):
                    access = handler.opt.get("access") or Access()
                    found[f"{method} {path}"] = Operation(method=method, path=path, access=access)
    return found


OPERATIONS = operations()


def described() -> Iterator[tuple[str, str]]:
    """Yield each operation with each place in which its description names an object."""
    document = api.openapi.document()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for parameter in operation.get("parameters", ()):
                if names_an_object(parameter.get("name", "")):  # Those that many share are headers.
                    yield f"{method.upper()} {path}", f"{parameter['in']}.{parameter['name']}"
            content = operation.get("requestBody", {}).get("content", {})
            for field in fields_of(document, content.get("application/json", {}).get("schema", {})):
                if names_an_object(field):
                    yield f"{method.upper()} {path}", f"body.{field}"


def fields_of(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for name, inner in schema.get("properties", {}).items():
        yield name
        if "items" in inner:
            yield from (f"{name}.{one}" for one in fields_of(document, inner["items"]))


def names_an_object(name: str) -> bool:
    last = last_of(name)
    return last.endswith(("_id", "_number")) and last != "national_id"


def test_every_operation_stands_in_a_table_of_this_file() -> None:
    assert {*OPERATIONS} == {*NAMED, *LISTS, *OWN, *OF_NOBODY}


def test_every_way_to_name_an_object_stands_in_the_table() -> None:
    assert sorted(described()) == sorted((route, place) for route, places in NAMED.items() for place in places)


@pytest.fixture(scope="module")
def callers(ann: Customer, bob: Customer, anyone: Api, new_key: NewKey) -> dict[str, Api]:
    keys = {name: new_key(*scopes) for name, scopes in SCOPES.items()}
    keeper = new_key(Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE, Scope.DEPOSITS_WRITE)
    return {"ann": ann.api, "bob": bob.api, "nobody": anyone, "keeper": keeper} | keys


@pytest.fixture(scope="module")
def payee(new_customer: Callable[..., Customer]) -> str:
    """The wallet of somebody who asks for nothing."""
    return new_customer().wallet_id


@pytest.fixture(scope="module")
def objects(callers: dict[str, Api], sink: Sinks, *, ann: Customer, bob: Customer, payee: str) -> Objects:
    """Let each holder make one of each kind that it can have."""
    held: dict[str, dict[str, str]] = {name: of_customer(one) for name, one in (("ann", ann), ("bob", bob))}
    for name in ("keeper", "other"):
        held[name] = of_integrator(callers[name], sink.open().url)
    for name in ("narrow", "keeper"):
        held.setdefault(name, {})["job_id"] = callers[name].finished("/v1/deposits", deposit(payee))["id"]
    return held


def of_customer(customer: Customer) -> dict[str, str]:
    job = customer.api.finished("/v1/withdrawals", deposit(customer.wallet_id))
    wallet = dict.fromkeys(("wallet_id", "source_wallet_id"), customer.wallet_id)
    return {"customer_id": customer.id, "job_id": job["id"], "transaction_id": job["result"]["transaction_id"]} | wallet


def of_integrator(key: Api, url: str) -> dict[str, str]:
    endpoint = key.post("/v1/webhook-endpoints", {"url": url}).json()
    delivery = key.post(f"/v1/webhook-endpoints/{endpoint['id']}/test").json()
    return {"endpoint_id": endpoint["id"], "delivery_id": delivery["id"], "event_id": delivery["event_id"]}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("route", "place"), PAIRS)
def test_an_object_of_somebody_else_is_not_there(
    callers: dict[str, Api], objects: Objects, payee: str, *, route: str, place: str, caller: str
) -> None:
    kind, operation = last_of(place), OPERATIONS[route]
    if is_anybodys(operation, caller):
        return
    foreign = [held[kind] for held in others(objects, caller) if kind in held]
    for named in foreign:
        theirs, nobodys = (send(callers[caller], route, place, one, payee=payee) for one in (named, str(uuid4())))
        refused(theirs, operation, place, caller)
        assert bare(theirs) == bare(nobodys)
    assert foreign


def refused(answer: httpx2.Response, operation: Operation, place: str, caller: str) -> None:
    if caller == "nobody":
        problem(answer, 401, "unauthenticated")
    elif not operation.admits(caller):
        problem(answer, 403, "forbidden")
    elif (f"{operation.method} {operation.path}", place) in EMPTY:
        assert (answer.status_code, answer.json()) == (200, {"items": [], "next_cursor": None})
    else:
        problem(answer, 404, "not_found")


def is_anybodys(operation: Operation, caller: str) -> bool:
    """A scope of money is for any wallet: whoever takes the cash pays it in where the customer says."""
    return caller == "narrow" and operation.access.scope is Scope.DEPOSITS_WRITE


@pytest.mark.parametrize("caller", [one for one in CALLERS if one != "nobody"])
@pytest.mark.parametrize("route", LISTS)
def test_a_list_has_nothing_of_the_others(
    callers: dict[str, Api], objects: Objects, *, route: str, caller: str
) -> None:
    answer = callers[caller].get(OPERATIONS[route].path, limit=200)
    if not OPERATIONS[route].admits(caller):
        problem(answer, 403, "forbidden")
        return
    assert answer.status_code == 200
    own = set(objects[caller].values())
    foreign = {one for held in others(objects, caller) for one in held.values()} - own
    assert [one for one in foreign if one in {item["id"] for item in answer.json()["items"]}] == []


@pytest.mark.parametrize("route", [*LISTS, *OWN, *(route for route, _ in PAIRS)])
def test_nobody_is_told_to_log_in_whatever_is_asked(anyone: Api, route: str) -> None:
    method, path = route.split()
    filled = path.format(**dict.fromkeys(NAMES, str(uuid4())))
    problem(anyone.send(method, filled, json={}), 401, "unauthenticated")


NAMES = ("customer_id", "wallet_id", "transaction_id", "job_id", "event_id", "endpoint_id", "delivery_id")


def test_after_all_that_everything_is_as_it_was(callers: dict[str, Api], objects: Objects, ann: Customer) -> None:
    endpoints = [callers[name].get(f"/v1/webhook-endpoints/{objects[name]['endpoint_id']}") for name in TAKEN]
    assert [one.json()["description"] for one in endpoints] == [endpoints[0].json()["description"]] * len(TAKEN)
    assert "taken over" not in {one.json()["description"] for one in endpoints}
    kinds = {one["kind"] for one in ann.api.get("/v1/transactions", limit=200).json()["items"]}
    assert kinds == {"deposit", "withdrawal"}
    assert len(ann.api.get("/v1/wallets").json()["items"]) == 1


TAKEN = ("keeper", "other")


def others(objects: Objects, caller: str) -> list[Mapping[str, str]]:
    return [held for holder, held in objects.items() if holder != caller]


def send(caller: Api, route: str, place: str, named: str, *, payee: str) -> httpx2.Response:
    """Ask for an object, in everything else as its owner would."""
    operation = OPERATIONS[route]
    where, _, name = place.partition(".")
    body = dict(BODIES.get(route, {}))
    query = {name: named} if where == "query" else None
    if where == "body":
        inner = {"destination_wallet_id": payee, "amount": 1, "currency": "RWF"}
        first, _, field = name.partition(".")
        body |= {first: [inner | {field: named}]} if field else {first: named}
        body |= {"destination_wallet_id": payee} if name == "source_wallet_id" else {}
    path = operation.path.format(**{name: named}) if where == "path" else operation.path
    if operation.method == "POST":
        return caller.post(path, body)
    if operation.method == "PATCH":
        return caller.patch(path, body)
    return caller.send(operation.method, path, params=query)
