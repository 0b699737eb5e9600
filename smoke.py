"""`tekana smoke`: does a deployed system do what it is for? Two customers' first minute, over HTTP alone.

A ledger forgets nothing, so what this did stays: two customers of a domain that nobody else has, whose wallets
are empty again, in a currency that nobody pays with. No balance of a real currency changes.
"""

import secrets
from collections.abc import Iterator
from typing import Any

import msgspec

from local.client import Client, Job, bearer
from local.errors import LocalError

DOMAIN = "tekana-smoke.test"  # Of nobody: RFC 2606, section 2. COHORT_MEMBERS lets it in while customers come over.
CURRENCY = "XAD"  # The Arab Accounting Dinar, a unit of account; two decimals.
PATIENCE_SECONDS = 30.0  # For one request or job: longer than a process's restart, shorter than an operator's.
PAID_IN, PAID = 10_00, 2_50


class Failed(Exception):
    """Something does not work; the message is a sentence."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    wallet_id: str
    wallet_number: str


def run(api_url: str, key: str) -> Iterator[str]:
    """Yield a sentence for each thing that worked. `key` is an API key for deposits, withdrawals and jobs.

    Raises:
        Failed: naming what did not.

    """
    with Client(api_url, PATIENCE_SECONDS) as client:
        client.key = key
        try:
            yield from _Story(client).tell()
        except LocalError as error:
            raise Failed(str(error)) from error


class _Story:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._name = f"smoke-{secrets.token_hex(8)}"  # Begins every idempotency key of this run.

    def tell(self) -> Iterator[str]:
        self._expect("a request with the API key", self._client.status("/v1/jobs?limit=1", self._client.key), 200)
        ann, bob = self._register("ann"), self._register("bob")
        yield "two customers registered, each with a wallet, and logged in"
        self._succeed("/v1/wallets", "second wallet", {"currency": CURRENCY}, ann.token)
        yield "a customer opened another wallet"
        self._succeed("/v1/deposits", "pay in", _cash(ann, PAID_IN), self._client.key)
        yield "an operator paid money in"
        yield from self._pay(ann, bob)
        self._expect("the payer's statement", self._statement(ann), [(-PAID, PAID_IN - PAID), (PAID_IN, PAID_IN)])
        self._expect("the receiver's statement", self._statement(bob), [(PAID, PAID)])
        self._expect("the balances", [self._balance(one) for one in (ann, bob)], [PAID_IN - PAID, PAID])
        yield "statements and balances agree"
        yield from self._trespass(ann, bob)
        self._succeed("/v1/withdrawals", "pay out ann", _cash(ann, PAID_IN - PAID), self._client.key)
        self._succeed("/v1/withdrawals", "pay out bob", _cash(bob, PAID), self._client.key)
        self._expect("the balances", [self._balance(one) for one in (ann, bob)], [0, 0])
        yield "the money was paid out again"

    def _register(self, name: str) -> Person:
        email, password = f"{self._name}-{name}@{DOMAIN}", secrets.token_urlsafe(12)
        body = {
            "full_name": "Smoke Test",
            "email": email,
            "national_id": f"SMOKE{secrets.token_hex(8)}",
            "password": password,
            "wallet": {"currency": CURRENCY},
        }
        result = self._succeed("/v1/customers", f"register {name}", body, "")
        response = self._client.send("POST", "/v1/auth/login", {}, {"email": email, "password": password})
        self._expect("a login", response.status_code, 200)
        token = response.json()["access_token"]
        return Person(token=token, wallet_id=result["wallet_id"], wallet_number=result["wallet_number"])

    def _pay(self, ann: Person, bob: Person) -> Iterator[str]:
        body = {
            "source_wallet_id": ann.wallet_id,
            "destination_number": bob.wallet_number,
            "amount": PAID,
            "currency": CURRENCY,
        }
        transfer = self._finish("/v1/transfers", "pay", body, ann.token)
        self._expect("a transfer", transfer.state, "succeeded")
        yield "a customer paid the other one"
        again = self._finish("/v1/transfers", "pay", body, ann.token)
        self._expect("the job of a repeated transfer", again.id, transfer.id)
        other = self._finish("/v1/transfers", "pay", body | {"amount": PAID + 1}, ann.token)
        self._expect("another transfer with the same key", other.code, "idempotency_key_reused")
        yield "repeated, the transfer was done once"
        broke = self._finish("/v1/transfers", "pay too much", body | {"amount": PAID_IN}, ann.token)
        self._expect("a transfer of more than there is", broke.code, "insufficient_funds")
        yield "nobody pays what they do not have"

    def _trespass(self, ann: Person, bob: Person) -> Iterator[str]:
        path = f"/v1/wallets/{ann.wallet_id}"
        statuses = [self._client.status(path, token) for token in (ann.token, bob.token, "")]
        self._expect("a wallet, read by its owner, another customer and nobody", statuses, [200, 404, 401])
        yield "nobody sees somebody else's wallet"

    def _statement(self, person: Person) -> list[tuple[int, int]]:
        entries = self._read(f"/v1/wallets/{person.wallet_id}/entries", person)["items"]
        return [(entry["amount"], entry["balance_after"]) for entry in entries]

    def _balance(self, person: Person) -> Any:
        return self._read(f"/v1/wallets/{person.wallet_id}", person)["balance"]

    def _read(self, path: str, person: Person) -> Any:
        response = self._client.send("GET", path, bearer(person.token))
        self._expect(f"GET {path}", response.status_code, 200)
        return response.json()

    def _succeed(self, path: str, what: str, body: dict[str, Any], token: str) -> dict[str, Any]:
        job = self._finish(path, what, body, token)
        self._expect(f"the job of POST {path}", job.state, "succeeded", job.code)
        return job.result or {}

    def _finish(self, path: str, what: str, body: dict[str, Any], token: str) -> Job:
        return self._client.finish(self._client.submit(path, body, f"{self._name} {what}".replace(" ", "-"), token))

    def _expect(self, what: str, found: object, expected: object, reason: str = "") -> None:
        if found != expected:
            raise Failed(f"{what}: expected {expected}, found {found} {reason}".rstrip())


def _cash(person: Person, amount: int) -> dict[str, Any]:
    return {"wallet_id": person.wallet_id, "amount": amount, "currency": CURRENCY}
