"""The load: wallets with money, then wrk posting transfers as fast as they are accepted."""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2
import msgspec

from local.programs import postgres_folder
from local.stack import Stack

SCRIPT = Path(__file__).parent / "transfer.lua"
CURRENCY = "RWF"
FUNDS = 10**9  # Minor units a wallet begins with: more than one run can spend.
CLIENTS_PREPARING = 32
SETTLED = "SELECT count(*) FROM transactions"
QUEUED = "SELECT count(*) FROM jobs WHERE state = 'queued'"


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What wrk saw. Latency is that of the 202, not of the settlement."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A round of load. `seconds` run from the first request until nothing is queued any more."""

    clients: int
    accepted: Accepted
    settled: int
    seconds: float
    settled_per_second: float
    jobs_per_message: float


class Bank:
    """A client with an operator's key."""

    def __init__(self, stack: Stack) -> None:
        created = stack.command("keys", "create", "--name", "bench", "--scope", "*", "--json")
        self.key = msgspec.json.decode(created)["key"]
        self.client = httpx2.Client(
            base_url=stack.api_url, headers={"Authorization": f"Bearer {self.key}"}, timeout=40, trust_env=False
        )

    def post(self, path: str, **body: object) -> dict[str, object]:
        """Post a job, wait for its end and return its result."""
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Prefer": "wait=30"}
        job = self.client.post(path, json=body, headers=headers).raise_for_status().json()
        if job["state"] != "succeeded":
            raise RuntimeError(f"{path}: {job}")
        result: dict[str, object] = job["result"]
        return result

    def fund_wallets(self, count: int) -> list[str]:
        """Open `count` wallets of one new customer and pay FUNDS into each."""
        name = uuid.uuid4().hex
        customer = self.post(
            "/v1/customers",
            full_name="Bench Customer",
            email=f"bench-{name}@example.com",
            national_id=name,
            password=uuid.uuid4().hex,
        )["customer_id"]

        def fund(_: int) -> str:
            opened = self.post("/v1/wallets", customer_id=customer, currency=CURRENCY, type="personal")
            wallet_id = str(opened["wallet_id"])
            self.post("/v1/deposits", wallet_id=wallet_id, amount=FUNDS, currency=CURRENCY)
            return wallet_id

        with ThreadPoolExecutor(CLIENTS_PREPARING) as pool:
            return list(pool.map(fund, range(count)))


def run(stack: Stack, bank: Bank, wallets: list[str], *, clients: int, seconds: int) -> Round:
    """Load the API with `clients` connections for `seconds`, then wait until all jobs have ended."""
    before, rings = int(query(stack, SETTLED)), _metrics(bank)
    started = time.monotonic()
    accepted = accept(stack, bank, wallets, clients=clients, seconds=seconds)
    while int(query(stack, QUEUED)):
        time.sleep(0.05)
    took = time.monotonic() - started
    settled = int(query(stack, SETTLED)) - before
    messages = _metrics(bank) - rings
    return Round(
        clients=clients,
        accepted=accepted,
        settled=settled,
        seconds=round(took, 3),
        settled_per_second=round(settled / took, 1),
        jobs_per_message=round(settled / max(messages, 1), 1),
    )


def query(stack: Stack, statement: str) -> str:
    """Return the single value that `statement` selects."""
    return postgres(stack, "psql", "-XAtc", statement).strip()


def postgres(stack: Stack, program: str, *arguments: str, database: str = "") -> str:
    """Run a PostgreSQL client program as the owner; the address goes by the environment, which `ps` does not show."""
    url = urlsplit(stack.database_url)
    login = {
        "PGHOST": url.hostname or "",
        "PGPORT": str(url.port or ""),
        "PGUSER": unquote(url.username or ""),
        "PGPASSWORD": unquote(url.password or ""),
        "PGDATABASE": database or url.path.removeprefix("/"),
    }
    argv = [str(postgres_folder() / program), *arguments]
    return subprocess.run(argv, env=os.environ | login, check=True, capture_output=True, text=True).stdout


def accept(stack: Stack, bank: Bank, wallets: list[str], *, clients: int, seconds: int) -> Accepted:
    """Post transfers with `clients` connections for `seconds`, by wrk."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("bench: wrk is not installed (Debian and Ubuntu: apt-get install wrk)")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join([bank.key, *wallets]) + "\n")
        file.flush()
        arguments = [wrk, "-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(SCRIPT), stack.api_url, "--", file.name]
        output = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    line = next(line for line in output.splitlines() if line.startswith("JSON "))
    return msgspec.json.decode(line.removeprefix("JSON "), type=Accepted)


def _metrics(bank: Bank) -> float:
    """Return how many messages announced money movements so far."""
    lines = bank.client.get("/metrics").text.splitlines()
    values = [line.split()[-1] for line in lines if line.startswith('tekana_rings_total{queue="transactions"}')]
    return float(values[0]) if values else 0.0
