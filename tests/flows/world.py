"""A platform to shoot at: the whole system, an operator's key and wallets with money, made over HTTP."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx2
import msgspec
from sqlalchemy import Connection, Engine, create_engine, text

from local.stack import Stack
from tests.flows.acknowledged import Acknowledged, Log
from tests.flows.model import replay

CURRENCY = "RWF"
WALLETS = 24  # Enough that crossing transfers meet and few enough that they always do.
FUNDS = 1_000_000_00  # A wallet's: no load ever empties it, so that every accepted transfer must succeed.
ANSWER_SECONDS_MAX = 15.0  # A request that hangs for longer is repeated, as a client's library would.
FINISH_SECONDS = 20
CONNECTIONS_MAX = 128
LOOK_SECONDS = 0.02
ANSWERED = "] request  "  # In a line of the access log.
SAID_LINES_MAX = 400  # Several tracebacks, each of an error after an error.
WEBHOOK_RETRIES = [0, 1, 1, 2, 2]  # Seconds: the schedule of days, in a test's time.
WEBHOOK_TIMEOUT_SECONDS = 2
WEBHOOK_SETTINGS = {
    "WEBHOOK_RETRY_SECONDS": ",".join(map(str, WEBHOOK_RETRIES)),
    "WEBHOOK_TIMEOUT_SECONDS": str(WEBHOOK_TIMEOUT_SECONDS),
    "WEBHOOK_CONNECT_TIMEOUT_SECONDS": "1",
}
SUCCEEDED = text("SELECT CAST(id AS text) FROM jobs WHERE state = 'succeeded' AND id = ANY(CAST(:ids AS uuid[]))")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What clients read of a job."""

    id: str
    state: str
    finished_at: str | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class World:
    """The system as its clients and its operator see it; `balances` is what they expect of each wallet.

    Whatever is acknowledged is kept on the disk before anybody hears of it, and counts when `book` reads it.
    """

    def __init__(self, stack: Stack, url: str = "") -> None:
        self.stack = stack
        self.http = httpx2.Client(
            base_url=url or stack.api_url,
            timeout=ANSWER_SECONDS_MAX,
            limits=httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
            trust_env=False,
        )
        self.engine: Engine = create_engine(stack.database_url, pool_pre_ping=True)
        self.acknowledged = Log()
        self.asked: set[str] = set()  # The jobs of all that counts.
        self.balances: dict[str, int] = {}
        self.wallets: list[str] = []
        self.is_spoilt = False  # A trial failed here, perhaps before `balances` had all of it.
        self._customer_id = ""

    def start(self) -> None:
        """Make the operator's key."""
        printed = self.stack.command("keys", "create", "--scope", "*", "--name", "flows", "--json")
        self.http.headers["Authorization"] = f"Bearer {msgspec.json.decode(printed)['key']}"

    def fill(self) -> None:
        """Make a customer and wallets with money."""
        self._customer_id = self._register()
        self.wallets = self.open_wallets(WALLETS, FUNDS)

    def said(self) -> str:
        """Return the end of the API's log, without the requests that it answered."""
        log = self.stack.data_dir / "log" / "api.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        return "\n".join([line for line in lines if ANSWERED not in line][-SAID_LINES_MAX:])

    def close(self) -> None:
        self.http.close()
        self.engine.dispose()
        self.acknowledged.close()

    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx2.Response:
        """Submit once, whatever comes of it."""
        key = key or str(uuid4())
        return self._kept(path, key, body, self.http.post(path, json=body, headers={"Idempotency-Key": key}))

    def settled(self, path: str, body: dict[str, Any]) -> Job:
        """Submit and wait for the end."""
        key = str(uuid4())
        headers = {"Idempotency-Key": key, "Prefer": f"wait={FINISH_SECONDS}"}
        response = self.http.post(path, json=body, headers=headers, timeout=FINISH_SECONDS + ANSWER_SECONDS_MAX)
        self._kept(path, key, body, response)
        assert response.status_code == 200, response.text
        return decode(response)

    def get(self, job_id: str) -> Job:
        response = self.http.get(f"/v1/jobs/{job_id}")
        assert response.status_code == 200, f"job {job_id}: {response.status_code} {response.text}"
        return decode(response)

    def open_wallets(self, count: int, funds: int) -> list[str]:
        """Open wallets of one customer, each with `funds` minor units, and expect just that of them."""
        opening = {"currency": CURRENCY, "type": "personal", "customer_id": self._customer_id}
        opened = [decode(self.post("/v1/wallets", opening)).id for _ in range(count)]
        self.wait_finished(opened)
        deposits = [self.post("/v1/deposits", deposit(wallet_id, funds)) for wallet_id in opened if funds]
        self.wait_finished([decode(response).id for response in deposits])
        self.balances |= dict.fromkeys(opened, 0)
        self.book()
        return opened

    def book(self) -> list[Acknowledged]:
        """Take what was acknowledged since the last time into `balances`, as it ended; return it."""
        acknowledged = self.acknowledged.unread()
        with self.tx() as tx:
            succeeded = set(tx.scalars(SUCCEEDED, {"ids": [one.job_id for one in acknowledged]}))
        replay(self.balances, acknowledged, succeeded)
        self.asked |= {one.job_id for one in acknowledged}
        return acknowledged

    def wait_finished(self, job_ids: list[str]) -> None:
        """Wait for the end of jobs that must succeed."""
        for job_id in job_ids:
            deadline = time.monotonic() + FINISH_SECONDS
            while (job := self.get(job_id)).state == "queued" and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
            assert job.state == "succeeded", job

    def _kept(self, path: str, key: str, body: dict[str, Any], response: httpx2.Response) -> httpx2.Response:
        if response.status_code in {200, 202}:
            self.acknowledged.keep(path, key, body, decode(response).id)
        return response

    def _register(self) -> str:
        body = {
            "full_name": "Flow Customer",
            "email": "flows@example.com",
            "national_id": "1199080000000012",
            "password": "correct horse battery",
        }
        job = self.settled("/v1/customers", body)
        assert job.result is not None, job
        return str(job.result["customer_id"])

    @contextmanager
    def tx(self) -> Iterator[Connection]:
        """Open a transaction of the schema's owner."""
        with self.engine.begin() as connection:
            yield connection


def decode(response: httpx2.Response) -> Job:
    assert response.status_code in {200, 202}, f"{response.status_code} {response.text}"
    return msgspec.json.decode(response.content, type=Job)


def deposit(wallet_id: str, amount: int) -> dict[str, Any]:
    return {"wallet_id": wallet_id, "amount": amount, "currency": CURRENCY}


def transfer(source: str, destination: str, amount: int) -> dict[str, Any]:
    return {
        "source_wallet_id": source,
        "destination_wallet_id": destination,
        "amount": amount,
        "currency": CURRENCY,
    }
