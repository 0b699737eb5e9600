"""Fictional customers with money, made the way every client makes them: through the API's jobs.

Every POST carries the same Idempotency-Key each time, so that a start that was interrupted goes on where it
ended. `demo.json` is written last: it exists only when what it describes does.
"""

import itertools
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from local.client import Client, Job
from local.errors import DemoError
from local.kept import Kept, write_private
from local.stack import Stack

CURRENCIES = ("RWF", "USD", "KES")
CUSTOMERS_EACH = 4  # Of each currency: enough for a ring of transfers.
FUNDS_MINOR = {"RWF": 500_000, "USD": 1_000_00, "KES": 100_000_00}
TRANSFER_MINOR = {"RWF": 12_500, "USD": 25_00, "KES": 2_500_00}
TAKEN = ("email_taken", "national_id_taken", "idempotency_key_reused")


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    email: str
    password: str
    customer_id: str
    wallet_id: str
    wallet_number: str
    currency: str


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """What `demo.json` holds."""

    api_url: str
    flower_url: str
    flower_user: str
    flower_password: str
    operator_key: str
    database_url: str
    redis_url: str
    customers: list[Customer]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody to register; `key` starts the idempotency keys of all that concerns them."""

    key: str
    full_name: str
    email: str
    national_id: str
    gender: str
    currency: str


def fill(stack: Stack) -> Path:
    """Make the demo data unless it is there, and write `demo.json` with the addresses of now.

    Raises:
        DemoError: the API refused, or did not finish its jobs in time.

    """
    path = stack.data_dir / "demo.json"
    with Client(stack.api_url) as client:
        client.key = _operator_key(stack, client)
        customers = _known(path, client) or _create(client, stack.kept)
        demo = Demo(
            api_url=stack.api_url,
            flower_url=stack.flower_url,
            flower_user=stack.env["FLOWER_USER"],
            flower_password=stack.env["FLOWER_PASSWORD"],
            operator_key=client.key,
            database_url=stack.database_url,
            redis_url=stack.redis_url,
            customers=customers,
        )
    write_private(path, msgspec.json.format(msgspec.json.encode(demo)) + b"\n")
    return path


def _operator_key(stack: Stack, client: Client) -> str:
    """Return the key of earlier starts while the database knows it, otherwise a new one."""
    key = stack.kept.get("operator_key")
    if key and client.status("/v1/customers?limit=1", key) == 200:
        return key
    printed = stack.command("keys", "create", "--scope", "*", "--name", "demo", "--json")
    key = str(msgspec.json.decode(printed)["key"])
    stack.kept.put("operator_key", key)
    return key


def _known(path: Path, client: Client) -> list[Customer]:
    """Return the customers of an earlier start, if this database has them."""
    try:
        customers = msgspec.json.decode(path.read_bytes(), type=Demo).customers
    except (FileNotFoundError, msgspec.MsgspecError):  # Never finished, or edited by hand.
        return []
    first = customers[0].wallet_id if customers else "none"
    return customers if client.status(f"/v1/wallets/{first}", client.key) == 200 else []


def _create(client: Client, kept: Kept) -> list[Customer]:
    customers = _register(client, kept)
    keys = [customer.email for customer in customers]
    _all_succeeded(client, "/v1/deposits", keys, [_deposit(customer) for customer in customers])
    transfers = list(_ring(customers))
    keys = [f"{source.email}-{destination.email}" for source, destination in transfers]
    _all_succeeded(client, "/v1/transfers", keys, [_transfer(*pair) for pair in transfers])
    return customers


def _register(client: Client, kept: Kept) -> list[Customer]:
    """Register the plain names; where another folder's demo has taken them, names with a number of our own."""
    tag = kept.get("demo_tag")
    people = list(_people(tag))
    bodies = [_registration(person, kept) for person in people]
    jobs = _finished(client, "/v1/customers", [person.key for person in people], bodies, as_stranger=True)
    if not tag and any(job.code in TAKEN for job in jobs):
        kept.put("demo_tag", f"{secrets.randbelow(90_000) + 10_000}")
        return _register(client, kept)
    return [_customer(person, body, _result(job)) for person, body, job in zip(people, bodies, jobs, strict=True)]


def _people(tag: str) -> Iterator[Person]:
    for number, currency in enumerate(CURRENCIES * CUSTOMERS_EACH, start=1):
        yield Person(
            key=f"demo{tag}-{number}",
            full_name=f"Demo Customer {number}",
            email=f"demo{number}{tag and f'.{tag}'}@example.com",
            # The shape of a Rwandan one: status, year, gender, seven digits, issue, two check digits.
            national_id=f"1199{number % 10}{7 + number % 2}{tag or '0':0>5}{number:02}000",
            gender="FM"[number % 2],
            currency=currency,
        )


def _registration(person: Person, kept: Kept) -> dict[str, Any]:
    return {
        "full_name": person.full_name,
        "email": person.email,
        "national_id": person.national_id,
        "password": kept.once(f"password of {person.email}", lambda: secrets.token_urlsafe(12)),
        "gender": person.gender,
        "wallet": {"currency": person.currency},
    }


def _customer(person: Person, body: dict[str, Any], result: dict[str, Any]) -> Customer:
    return Customer(
        email=person.email,
        password=body["password"],
        customer_id=result["customer_id"],
        wallet_id=result["wallet_id"],
        wallet_number=result["wallet_number"],
        currency=person.currency,
    )


def _deposit(customer: Customer) -> dict[str, Any]:
    return {
        "wallet_id": customer.wallet_id,
        "amount": FUNDS_MINOR[customer.currency],
        "currency": customer.currency,
        "description": "Demo funds",
    }


def _transfer(source: Customer, destination: Customer) -> dict[str, Any]:
    return {
        "source_wallet_id": source.wallet_id,
        "destination_wallet_id": destination.wallet_id,
        "amount": TRANSFER_MINOR[source.currency],
        "currency": source.currency,
        "description": "Demo transfer",
    }


def _ring(customers: Sequence[Customer]) -> Iterator[tuple[Customer, Customer]]:
    """Pair each customer with the next of the same currency; the last one pays nobody."""
    for currency in CURRENCIES:
        yield from itertools.pairwise(customer for customer in customers if customer.currency == currency)


def _all_succeeded(client: Client, path: str, keys: list[str], bodies: list[dict[str, Any]]) -> None:
    for job in _finished(client, path, keys, bodies):
        _result(job)


def _finished(
    client: Client, path: str, keys: list[str], bodies: list[dict[str, Any]], *, as_stranger: bool = False
) -> list[Job]:
    """Submit all, then wait for all: the workers settle them together."""
    key = "" if as_stranger else client.key
    pairs = zip(keys, bodies, strict=True)
    jobs = [client.submit(path, body, idempotency_key, key) for idempotency_key, body in pairs]
    return [client.finish(job) for job in jobs]


def _result(job: Job) -> dict[str, Any]:
    if job.state != "succeeded" or job.result is None:
        raise DemoError(f"demo data: job {job.id} ({job.kind}) ended {job.state} {job.code}".rstrip())
    return job.result
