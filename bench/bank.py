"""Who takes part: customers with wallets, some of them logged in and with money to send."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import httpx2
import msgspec

from bench import crowd
from bench.database import Database
from local.stack import Stack

CURRENCY = "RWF"
FUNDS = 10**12  # Minor units a caller begins with: more than all runs can spend.
TIMEOUT_SECONDS = 40  # Above the longest wait that is asked for.
AT_ONCE = 8  # Logins and deposits at the same time, before anything is measured.


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's access token, and the wallet that it may spend from."""

    token: str
    wallet_id: str


class Targets(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays and who is paid, each request choosing one of each."""

    sources: list[Account]
    destinations: list[str]

    def write(self, path: Path) -> None:
        """Leave them as transfer.lua and `bench.paced` read them."""
        lines = [f"source {one.token} {one.wallet_id}" for one in self.sources]
        lines += [f"destination {one}" for one in self.destinations]
        path.write_text("\n".join(lines) + "\n", encoding="ascii")

    @classmethod
    def read(cls, path: Path) -> Self:
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        sources = [Account(token=line[1], wallet_id=line[2]) for line in lines if line[0] == "source"]
        return cls(sources=sources, destinations=[line[1] for line in lines if line[0] == "destination"])


class Bank:
    """A client with an operator's key, and the accounts that it knows."""

    def __init__(self, stack: Stack, database: Database, *, customers: int, callers: int) -> None:
        self.key = operator_key(stack)
        self.client = client_of(stack, self.key)
        people = crowd.register(stack.env, database, max(customers, callers))
        self.wallets = [one.wallet_id for one in people]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            self.accounts = list(pool.map(self._log_in, people[:callers]))

    @property
    def targets(self) -> Targets:
        """From any of the callers to anybody."""
        return Targets(sources=self.accounts, destinations=self.wallets)

    @property
    def targets_of_one(self) -> Targets:
        """The same, all asked for by one caller, who may spend from everybody's wallets: the operator."""
        sources = [Account(token=self.key, wallet_id=one.wallet_id) for one in self.accounts]
        return Targets(sources=sources, destinations=self.wallets)

    def post(self, path: str, **body: object) -> dict[str, object]:
        """Post a job, wait for its end and return its result.

        Raises:
            RuntimeError: it ended otherwise than well.

        """
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Prefer": "wait=30"}
        job = self.client.post(path, json=body, headers=headers).raise_for_status().json()
        if job["state"] != "succeeded":
            raise RuntimeError(f"{path}: {job}")
        result: dict[str, object] = job["result"]
        return result

    def _log_in(self, one: crowd.Person) -> Account:
        self.post("/v1/deposits", wallet_id=one.wallet_id, amount=FUNDS, currency=CURRENCY)
        body = {"email": one.email, "password": crowd.PASSWORD}
        answer = self.client.post("/v1/auth/login", json=body).raise_for_status().json()
        return Account(token=answer["access_token"], wallet_id=one.wallet_id)


def operator_key(stack: Stack) -> str:
    """Return a new API key that may do everything."""
    created = stack.command("keys", "create", "--name", "bench", "--scope", "*", "--json")
    key: str = msgspec.json.decode(created)["key"]
    return key


def client_of(stack: Stack, key: str) -> httpx2.Client:
    """Return a client that calls with this key."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.Client(base_url=stack.api_url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
