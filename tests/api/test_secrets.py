"""What nobody but its owner may know is nowhere in clear: not in a table, a log, or Redis."""

import hashlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import redis

from local.stack import Stack
from tests.api.clients import Api, Customer, deposit, log_in, problem, register, registration
from tests.api.conftest import Sql
from tests.sinks import Sinks, until

NATIONAL_ID = "1197480017283946"
PHONE = "+250788719283"
PASSWORD = "Nyamata-1974-umuganda"
WRONG_PASSWORD = "Nyamata-1975-umuganda"
SHORT_PASSWORD = "Nyabar7"
REJECTED_PASSWORD = "Gisenyi-1981-umuganda"


@pytest.fixture(scope="module")
def planted(stack: Stack, anyone: Api, sink: Sinks) -> dict[str, str]:
    """Bring secrets into the system by every door, and return them by name."""
    customer: Customer = register(
        anyone, national_id=f"{NATIONAL_ID[:4]} {NATIONAL_ID[4:]}", phone=PHONE, password=PASSWORD
    )
    problem(
        anyone.post("/v1/auth/login", {"email": customer.registration["email"], "password": WRONG_PASSWORD}),
        401,
        "invalid_credentials",
    )
    problem(anyone.post("/v1/customers", registration(password=SHORT_PASSWORD)), 400, "invalid_request")
    taken = registration(email=customer.registration["email"], password=REJECTED_PASSWORD)
    assert anyone.finished("/v1/customers", taken)["state"] == "rejected"
    refreshed = anyone.post("/v1/auth/refresh", {"refresh_token": customer.refresh_token}).json()
    made = msgspec.json.decode(stack.command("keys", "create", "--scope", "*", "--name", "planted", "--json"))
    assert anyone.holding(made["key"]).get("/v1/jobs").status_code == 200
    webhooks = plant_webhook_secrets(anyone.holding(made["key"]), customer, sink)
    assert customer.api.get("/v1/customers/me").json()["phone"] == PHONE
    problem(anyone.get(f"/v1/customers/{uuid4()}", headers=customer.api.headers), 404, "not_found")
    return webhooks | {
        "callback secret": made["callback_secret"],
        "national id": NATIONAL_ID,
        "an unkeyed hash of the national id": hashlib.sha256(NATIONAL_ID.encode()).hexdigest(),
        "phone number": PHONE.removeprefix("+"),
        "phone number without a country code": PHONE.removeprefix("+250"),
        "password": PASSWORD,
        "wrong password": WRONG_PASSWORD,
        "refused password": SHORT_PASSWORD,
        "rejected password": REJECTED_PASSWORD,
        "access token": customer.access_token,
        "refresh token": customer.refresh_token,
        "next refresh token": refreshed["refresh_token"],
        "API key": made["key"],
        "signing key": stack.env["TOKEN_KEY"],
        "index key": stack.env["INDEX_KEY"],
        "seal key": stack.env["SEAL_KEY"],
        "encryption key": stack.env["PII_KEYS"].partition(":")[2],
        "encryption key of webhook secrets": stack.env["WEBHOOK_KEYS"].partition(":")[2],
    }


def plant_webhook_secrets(key: Api, customer: Customer, sink: Sinks) -> dict[str, str]:
    """Let messages be signed by an endpoint's secret before and after a rotation, and by a key's own."""
    endpoint = key.post("/v1/webhook-endpoints", {"url": sink.open().url, "event_types": ["webhook.test"]}).json()
    inbox = sink.open()
    key.finished("/v1/deposits", deposit(customer.wallet_id, callback_url=inbox.url))
    inbox.wait()
    rotated = key.post(f"/v1/webhook-endpoints/{endpoint['id']}/rotate-secret").json()
    delivery = key.post(f"/v1/webhook-endpoints/{endpoint['id']}/test").json()
    path = f"/v1/webhook-deliveries/{delivery['id']}"
    until(lambda: key.get(path).json(), lambda one: one["state"] == "succeeded")
    secrets = {
        "endpoint's secret": endpoint["secret"],
        "endpoint's new secret": rotated["secret"],
        "callbacks' new secret": key.post("/v1/callbacks/rotate-secret").json()["secret"],
    }
    return {name: secret.removeprefix("whsec_") for name, secret in secrets.items()}


def in_tables(sql: Sql) -> Iterator[tuple[str, bytes]]:
    """Yield every row of every table as text, bytes among them decoded."""
    for table in sql("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"):
        for row in sql(f'SELECT * FROM "{table["name"]}"'):  # noqa: S608 - a name that PostgreSQL gave
            values = (bytes(value) if isinstance(value, memoryview) else value for value in row.values())
            yield table["name"], b"\n".join(one if isinstance(one, bytes) else str(one).encode() for one in values)


def in_logs(stack: Stack) -> Iterator[tuple[str, bytes]]:
    for path in (stack.data_dir / "log").iterdir():
        yield path.name, path.read_bytes()


def in_redis(stack: Stack) -> Iterator[tuple[str, bytes]]:
    """Yield every key with its value."""
    with redis.Redis.from_url(stack.redis_url) as client:
        read: dict[bytes, Callable[[bytes], Any]] = {
            b"string": client.get,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1),
            b"hash": client.hgetall,
        }
        for key in client.scan_iter():
            kind: Any = client.type(key)
            if kind != b"none":  # It may have expired meanwhile.
                yield "redis", key + str(read[kind](key)).encode()


def test_no_secret_is_in_clear_anywhere(stack: Stack, sql: Sql, planted: dict[str, str]) -> None:
    found = [
        (name, where)
        for where, text in chain(in_tables(sql), in_logs(stack), in_redis(stack))
        for name, secret in planted.items()
        if secret.encode() in text
    ]

    assert found == []


def test_the_search_would_have_found_them(stack: Stack, sql: Sql, anyone: Api, planted: dict[str, str]) -> None:
    """What is no secret is found where it belongs, so that the test above means something."""
    del planted
    email = registration()["email"]
    job = anyone.finished("/v1/customers", registration(email=email))
    anyone.get(f"/v1/jobs/{job['id']}")  # Now it is cached.

    assert "customers" in {where for where, text in in_tables(sql) if email.encode() in text}
    assert [where for where, text in in_redis(stack) if job["result"]["wallet_id"].encode() in text]
    assert {"api.log", "postgres.log", "worker-customers.log", "worker-webhooks.log"} <= {
        name for name, _ in in_logs(stack)
    }


def test_a_settled_registrations_payload_is_empty(sql: Sql, planted: dict[str, str]) -> None:
    del planted

    payloads = sql("SELECT DISTINCT payload FROM jobs WHERE kind = 'customer.register' AND state <> 'queued'")

    assert payloads == [{"payload": {}}]


def test_passwords_are_stored_as_argon2id(sql: Sql, anyone: Api) -> None:
    one, other = (register(anyone, password=PASSWORD) for _ in range(2))

    hashes = sql(
        "SELECT password_hash FROM customers WHERE id IN (CAST(:one AS uuid), CAST(:other AS uuid))",
        one=one.id,
        other=other.id,
    )
    assert all(row["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$") for row in hashes)
    assert len({row["password_hash"] for row in hashes}) == 2
    assert log_in(anyone, one.registration["email"], PASSWORD)
