"""Who may call what: every route says so, and nobody learns of what is not theirs."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from api.app import create_litestar
from domain.access import Access, Scope
from tests.api.clients import Api, Customer, bare, deposit, problem, registration, transfer
from tests.api.conftest import NewKey
from tests.sinks import Sinks

# A route, and the one scope that opens it to an API key.
SCOPES = [
    ("GET /v1/customers", Scope.CUSTOMERS_READ),
    ("GET /v1/customers/{customer_id}", Scope.CUSTOMERS_READ),
    ("GET /v1/wallets", Scope.WALLETS_READ),
    ("GET /v1/wallets/{wallet_id}", Scope.WALLETS_READ),
    ("GET /v1/wallets/{wallet_id}/entries", Scope.WALLETS_READ),
    ("POST /v1/wallets", Scope.WALLETS_WRITE),
    ("POST /v1/deposits", Scope.DEPOSITS_WRITE),
    ("POST /v1/withdrawals", Scope.WITHDRAWALS_WRITE),
    ("POST /v1/transfers", Scope.TRANSACTIONS_WRITE),
    ("POST /v1/transfers/bulk", Scope.TRANSACTIONS_WRITE),
    ("GET /v1/transactions", Scope.TRANSACTIONS_READ),
    ("GET /v1/transactions/{transaction_id}", Scope.TRANSACTIONS_READ),
]
# The same, where customers have nothing.
SCOPES_OF_KEYS = [
    ("GET /v1/events", Scope.WEBHOOKS_READ),
    ("GET /v1/webhook-endpoints", Scope.WEBHOOKS_READ),
    ("POST /v1/webhook-endpoints", Scope.WEBHOOKS_WRITE),
    ("GET /v1/webhook-deliveries", Scope.WEBHOOKS_READ),
    ("GET /v1/audit/actions", Scope.ALL),
    ("GET /v1/audit/head", Scope.TRANSACTIONS_READ),
]
# Routes to one object of an API key, which for another key is not there.
OBJECTS_OF_KEYS = [
    ("GET /v1/events/{event_id}", Scope.WEBHOOKS_READ),
    ("GET /v1/webhook-endpoints/{endpoint_id}", Scope.WEBHOOKS_READ),
    ("PATCH /v1/webhook-endpoints/{endpoint_id}", Scope.WEBHOOKS_WRITE),
    ("DELETE /v1/webhook-endpoints/{endpoint_id}", Scope.WEBHOOKS_WRITE),
    ("POST /v1/webhook-endpoints/{endpoint_id}/rotate-secret", Scope.WEBHOOKS_WRITE),
    ("POST /v1/webhook-endpoints/{endpoint_id}/test", Scope.WEBHOOKS_WRITE),
    ("POST /v1/webhook-endpoints/{endpoint_id}/replay", Scope.WEBHOOKS_WRITE),
    ("GET /v1/webhook-deliveries/{delivery_id}", Scope.WEBHOOKS_READ),
    ("POST /v1/webhook-deliveries/{delivery_id}/redeliver", Scope.WEBHOOKS_WRITE),
]
# Operators' routes to wallets and customers, which are the same for every operator.
CHANGES_OF_KEYS = [
    (f"POST /v1/{noun}s/{{{noun}_id}}/{verb}", Scope.ALL)
    for noun in ("wallet", "customer")
    for verb in ("freeze", "unfreeze", "close")
]
KEYS_ONLY = ["POST /v1/callbacks/rotate-secret"]
# Any API key may call these, and sees more with a scope: tested one by one below.
OWN_WITHOUT_SCOPE = [
    "GET /v1/jobs",
    "GET /v1/jobs/{job_id}",
    "GET /v1/jobs/{job_id}/events",
    "POST /v1/jobs/{job_id}/cancel",
]
CALLERS = ["GET /v1/event-types"]  # The same for whoever has credentials.
CUSTOMERS_ONLY = ["GET /v1/customers/me"]
ANYONE = [
    "POST /v1/customers",
    "POST /v1/auth/login",
    "POST /v1/auth/refresh",
    "POST /v1/auth/logout",
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
    "GET /openapi.json",
]
# Routes to one object, which for anybody but its owner is not there.
OBJECTS = [
    "GET /v1/customers/{customer_id}",
    "GET /v1/wallets/{wallet_id}",
    "GET /v1/wallets/{wallet_id}/entries",
    "GET /v1/transactions/{transaction_id}",
    "GET /v1/jobs/{job_id}",
    "GET /v1/jobs/{job_id}/events",
    "POST /v1/jobs/{job_id}/cancel",
]
ANYONE_BELOW = "GET /docs"
SCOPED = [*SCOPES, *SCOPES_OF_KEYS, *OBJECTS_OF_KEYS, *CHANGES_OF_KEYS]
CLOSED = [*(route for route, _ in SCOPED), *KEYS_ONLY, *OWN_WITHOUT_SCOPE, *CALLERS, *CUSTOMERS_ONLY]
SUCCESSES = {200, 201, 202, 204}

Ask = Callable[[Api, str], httpx2.Response]


def routes() -> Iterator[tuple[str, Access | None]]:
    """Yield every route of the application; what Litestar answers to OPTIONS by itself is closed to all."""
    for route in create_litestar().routes:
        for handler in getattr(route, "route_handlers", []):
            for method in sorted(getattr(handler, "http_methods", {"?"}) - {"OPTIONS"}):
                yield f"{method} {route.path.replace(':uuid', '')}", handler.opt.get("access")


def test_every_route_says_who_may_call_it() -> None:
    assert [route for route, access in routes() if access is None] == []


def test_every_route_stands_in_a_table_of_this_file() -> None:
    known = {*CLOSED, *ANYONE}

    assert {route for route, _ in routes() if not route.startswith(ANYONE_BELOW)} - known == set()


def test_routes_for_anyone_are_those_of_the_contract() -> None:
    of_registrations = {"GET /v1/jobs/{job_id}", "GET /v1/jobs/{job_id}/events"}

    found = {route for route, access in routes() if access is not None and access.anyone}

    assert {route for route in found if not route.startswith(ANYONE_BELOW)} == {*ANYONE, *of_registrations}


def test_every_route_to_one_object_is_tested_with_somebody_elses() -> None:
    tested = {*OBJECTS, *(route for route, _ in [*OBJECTS_OF_KEYS, *CHANGES_OF_KEYS])}

    assert {route for route, _ in routes() if "{" in route and not route.startswith(ANYONE_BELOW)} <= tested


@pytest.fixture(scope="module")
def paid(ann: Customer, bob: Customer) -> str:
    """Let Ann pay Bob; return the id of transaction and job."""
    result = ann.api.succeeded("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id))
    return str(result["transaction_id"])


@pytest.fixture(scope="module")
def keeper(new_key: NewKey) -> Api:
    """A key that has endpoints."""
    return new_key(Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE)


@pytest.fixture(scope="module")
def kept(keeper: Api, sink: Sinks) -> Callable[[], dict[str, str]]:
    """Make an endpoint, a delivery to it and its event; return their ids."""

    def make() -> dict[str, str]:
        endpoint = keeper.post("/v1/webhook-endpoints", {"url": sink.open().url}).json()
        delivery = keeper.post(f"/v1/webhook-endpoints/{endpoint['id']}/test").json()
        return {"endpoint_id": endpoint["id"], "delivery_id": delivery["id"], "event_id": delivery["event_id"]}

    return make


@pytest.fixture(scope="module")
def ask(ann: Customer, bob: Customer, paid: str, kept: Callable[[], dict[str, str]]) -> Ask:
    """Send what succeeds for Ann, or for an operator."""
    ids = {"customer_id": ann.id, "wallet_id": ann.wallet_id, "transaction_id": paid, "job_id": paid} | kept()
    bodies = WEBHOOK_BODIES | {
        "/v1/wallets": {"currency": "RWF", "customer_id": ann.id},
        "/v1/deposits": deposit(ann.wallet_id),
        "/v1/withdrawals": deposit(ann.wallet_id),
        "/v1/transfers": transfer(ann.wallet_id, bob.wallet_id),
        "/v1/transfers/bulk": {"mode": "independent", "items": [transfer(ann.wallet_id, bob.wallet_id)]},
    }

    def send(caller: Api, route: str) -> httpx2.Response:
        method, path = route.split()
        named = ids | kept() if method == "DELETE" else ids
        if route in {one for one, _ in CHANGES_OF_KEYS}:  # Ann is needed: nobody is frozen.
            named = dict.fromkeys(("wallet_id", "customer_id"), str(uuid4()))
        return send_to(caller, method, path.format(**named), bodies.get(path, {}))

    return send


WEBHOOK_BODIES: dict[str, dict[str, Any]] = {
    "/v1/webhook-endpoints": {"url": "https://example.com/webhooks", "enabled": False},  # Nothing is sent to it.
    "/v1/webhook-endpoints/{endpoint_id}": {"description": "changed"},
    "/v1/webhook-endpoints/{endpoint_id}/replay": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:01Z"},
}


def send_to(caller: Api, method: str, path: str, body: dict[str, Any]) -> httpx2.Response:
    match method:
        case "POST":
            return caller.post(path, body)
        case "PATCH":
            return caller.patch(path, body)
        case _:
            return caller.send(method, path)


@pytest.mark.parametrize(("route", "scope"), [*SCOPES, *SCOPES_OF_KEYS, *CHANGES_OF_KEYS])
def test_a_key_with_the_scope_is_let_in(new_key: NewKey, ask: Ask, route: str, scope: Scope) -> None:
    assert ask(new_key(scope), route).status_code in SUCCESSES


@pytest.mark.parametrize(("route", "scope"), OBJECTS_OF_KEYS)
def test_another_keys_object_is_not_there(new_key: NewKey, ask: Ask, route: str, scope: Scope) -> None:
    other = new_key(scope)
    method, path = route.split()
    unknown = dict.fromkeys(("event_id", "endpoint_id", "delivery_id"), str(uuid4()))

    theirs = ask(other, route)
    nobodys = send_to(other, method, path.format(**unknown), WEBHOOK_BODIES.get(path, {}))

    problem(theirs, 404, "not_found")
    assert bare(theirs) == bare(nobodys)


# Events are told to whoever reads all jobs: see test_events.py.
@pytest.mark.parametrize(("route", "scope"), [row for row in OBJECTS_OF_KEYS if "{event_id}" not in row[0]])
def test_to_read_all_jobs_is_not_to_have_all_endpoints(new_key: NewKey, ask: Ask, route: str, scope: Scope) -> None:
    other = new_key(*(set(Scope) - {Scope.ALL}), scope)

    problem(ask(other, route), 404, "not_found")


@pytest.mark.parametrize(("route", "scope"), SCOPED)
def test_a_key_with_every_other_scope_is_not(new_key: NewKey, ask: Ask, route: str, scope: Scope) -> None:
    others = set(Scope) - {Scope.ALL, scope}

    problem(ask(new_key(*others), route), 403, "forbidden")


@pytest.mark.parametrize("route", [route for route, _ in SCOPED])
def test_the_operators_key_is_let_in_everywhere(operator: Api, ask: Ask, route: str) -> None:
    assert ask(operator, route).status_code in SUCCESSES


@pytest.mark.parametrize("route", [*KEYS_ONLY, *CALLERS])
def test_a_key_needs_no_scope_for_what_is_its_own_or_everybodys(new_key: NewKey, ask: Ask, route: str) -> None:
    assert ask(new_key(Scope.WALLETS_READ), route).status_code == 200


@pytest.mark.parametrize("route", CLOSED)
def test_nobody_gets_in_without_credentials(anyone: Api, ask: Ask, route: str) -> None:
    response = ask(anyone, route)

    problem(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("route", [route for route, _ in SCOPES if route != "POST /v1/deposits"])
def test_customers_are_let_in_to_what_is_theirs(ann: Customer, ask: Ask, route: str) -> None:
    assert ask(ann.api, route).status_code in SUCCESSES


NOT_FOR_CUSTOMERS = [*SCOPES_OF_KEYS, *OBJECTS_OF_KEYS, *CHANGES_OF_KEYS]


@pytest.mark.parametrize("route", [*(route for route, _ in NOT_FOR_CUSTOMERS), *KEYS_ONLY])
def test_customers_have_no_webhooks_and_change_no_states(ann: Customer, ask: Ask, route: str) -> None:
    problem(ask(ann.api, route), 403, "forbidden")


def test_customers_may_know_which_events_there_are(ann: Customer, ask: Ask) -> None:
    assert ask(ann.api, CALLERS[0]).status_code == 200


def test_customers_do_not_make_money(ann: Customer, ask: Ask) -> None:
    problem(ask(ann.api, "POST /v1/deposits"), 403, "forbidden")


def test_an_api_key_is_no_customer(operator: Api) -> None:
    problem(operator.get("/v1/customers/me"), 403, "forbidden")


@pytest.mark.parametrize("route", OBJECTS)
def test_somebody_elses_object_is_not_there(new_customer: Callable[..., Customer], ask: Ask, route: str) -> None:
    carol = new_customer()
    method, path = route.split()
    unknown = dict.fromkeys(("customer_id", "wallet_id", "transaction_id", "job_id"), str(uuid4()))

    theirs, nobodys = ask(carol.api, route), carol.api.send(method, path.format(**unknown))

    problem(theirs, 404, "not_found")
    assert bare(theirs) == bare(nobodys)


@pytest.mark.parametrize("path", ["/v1/withdrawals", "/v1/transfers"])
def test_nobody_spends_from_somebody_elses_wallet(ann: Customer, bob: Customer, path: str) -> None:
    def spend(source: str) -> httpx2.Response:
        if path == "/v1/transfers":
            return bob.api.post(path, transfer(source, bob.wallet_id))
        return bob.api.post(path, deposit(source))

    theirs, nobodys = spend(ann.wallet_id), spend(str(uuid4()))

    problem(theirs, 404, "not_found")
    assert bare(theirs) == bare(nobodys)


def test_a_customer_opens_no_wallet_for_somebody_else(ann: Customer, bob: Customer) -> None:
    answers = [
        bob.api.post("/v1/wallets", {"currency": "RWF", "customer_id": customer_id})
        for customer_id in (ann.id, str(uuid4()))
    ]

    problem(answers[0], 404, "not_found")
    assert bare(answers[0]) == bare(answers[1])


@pytest.mark.parametrize(
    "path",
    [
        "/v1/wallets",
        "/v1/wallets?customer_id={ann}",
        "/v1/transactions",
        "/v1/jobs",
        "/v1/jobs?kind=transfer.create",
        "/v1/customers?email={email}",
    ],
)
def test_lists_never_show_what_is_somebody_elses(
    new_customer: Callable[..., Customer], ann: Customer, paid: str, path: str
) -> None:
    carol = new_customer()

    page = carol.api.get(path.format(ann=ann.id, email=ann.registration["email"]))

    assert page.status_code == 200
    assert not {ann.id, ann.wallet_id, paid} & {one["id"] for one in page.json()["items"]}


def test_the_list_of_customers_shows_a_customer_only_themselves(ann: Customer) -> None:
    page = ann.api.get("/v1/customers").json()

    assert [one["id"] for one in page["items"]] == [ann.id]
    assert page["next_cursor"] is None


def test_transactions_of_somebody_elses_wallet_are_not_there(ann: Customer, bob: Customer) -> None:
    theirs, nobodys = (bob.api.get("/v1/transactions", wallet_id=one) for one in (ann.wallet_id, str(uuid4())))

    problem(theirs, 404, "not_found")
    assert bare(theirs) == bare(nobodys)


def test_both_parties_see_a_transfer_and_only_its_maker_sees_the_job(ann: Customer, bob: Customer, paid: str) -> None:
    assert ann.api.get(f"/v1/transactions/{paid}").json() == bob.api.get(f"/v1/transactions/{paid}").json()
    assert ann.api.get(f"/v1/jobs/{paid}").status_code == 200
    problem(bob.api.get(f"/v1/jobs/{paid}"), 404, "not_found")


def test_a_key_without_jobs_read_sees_the_jobs_it_made(new_key: NewKey, ann: Customer, paid: str) -> None:
    key = new_key(Scope.DEPOSITS_WRITE)
    made = key.finished("/v1/deposits", deposit(ann.wallet_id))["id"]

    assert key.get(f"/v1/jobs/{made}").status_code == 200
    assert [job["id"] for job in key.get("/v1/jobs").json()["items"]] == [made]
    problem(key.get(f"/v1/jobs/{paid}"), 404, "not_found")


def test_a_key_with_jobs_read_sees_all_and_cancels_none(new_key: NewKey, paid: str) -> None:
    reader = new_key(Scope.JOBS_READ)

    assert reader.get(f"/v1/jobs/{paid}").status_code == 200
    assert paid in [job["id"] for job in reader.get("/v1/jobs", limit=200).json()["items"]]
    problem(reader.post(f"/v1/jobs/{paid}/cancel"), 404, "not_found")


def test_a_key_with_jobs_write_may_try_to_cancel_any(new_key: NewKey, paid: str) -> None:
    problem(new_key(Scope.JOBS_WRITE).post(f"/v1/jobs/{paid}/cancel"), 409, "job_finished")


def test_a_key_with_customers_write_registers_as_itself(new_key: NewKey) -> None:
    key, idempotency_key = new_key(Scope.CUSTOMERS_WRITE), str(uuid4())
    first = key.post("/v1/customers", registration(), key=idempotency_key)

    assert key.get(f"/v1/jobs/{first.json()['id']}").status_code == 200
    problem(key.post("/v1/customers", registration(), key=idempotency_key), 422, "idempotency_key_reused")


def test_a_key_without_it_registers_as_anyone_may(new_key: NewKey) -> None:
    key, idempotency_key = new_key(Scope.WALLETS_READ), str(uuid4())

    answers = [key.post("/v1/customers", registration(), key=idempotency_key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
