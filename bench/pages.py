"""Which pages of lists, statements and single things are read, and how long each takes: the same at every size."""

import contextlib
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from bench.client import Client
from bench.figures import Spread, spread
from bench.scene import Scene

READS = 500  # Of each page: the fifth slowest is the 99th percentile.
WARM_UP = 20  # The first find statements that are not prepared yet.
READ_ON = {"events": "after"}  # How a list names the place to go on from, if not as the others do.
EMAIL = "SELECT email FROM customers WHERE id = (SELECT customer_id FROM wallets WHERE id = CAST(%(wallet)s AS uuid))"


def timed(scenes: Sequence[Scene]) -> list[dict[str, Spread]]:
    """Return the latency of each page in each scene: one request at a time, with an operator's key, in turns."""
    with contextlib.ExitStack() as resources:
        clients = [resources.enter_context(Client(one.stack.api_url, one.bank.key)) for one in scenes]
        paths = [_paths(client, scene) for client, scene in zip(clients, scenes, strict=True)]
        found: list[dict[str, Spread]] = [{} for _ in scenes]
        for name in paths[0]:
            if all(name in known for known in paths):
                spreads = _spreads(clients, [known[name] for known in paths])
                for one, pages in zip(spreads, found, strict=True):
                    pages[name] = one
    return found


def _paths(client: Client, scene: Scene) -> dict[str, str]:
    """Return what is read: each list, its filters, one thing of each sort, and pages that are not the first."""
    wallet = scene.bank.accounts[0].wallet_id
    owner = client.get(f"/v1/wallets/{wallet}").json()["customer_id"]
    email = scene.database.value(EMAIL, wallet=wallet)
    transaction = client.get("/v1/transactions?limit=1").json()["items"][0]
    lists = {
        "customers": "/v1/customers",
        "customers by e-mail": f"/v1/customers?email={quote(email)}",
        "wallets of one": f"/v1/wallets?customer_id={owner}",
        "statement": f"/v1/wallets/{wallet}/entries",
        "transactions": "/v1/transactions",
        "transactions of a wallet": f"/v1/transactions?wallet_id={wallet}",
        "deposits": "/v1/transactions?kind=deposit",
        "jobs": "/v1/jobs",
        "jobs that failed": "/v1/jobs?state=failed",
        "registrations": "/v1/jobs?kind=customer.register",
        "events": "/v1/events",
    }
    single = {
        "a customer": f"/v1/customers/{owner}",
        "a balance": f"/v1/wallets/{wallet}",
        "a transaction": f"/v1/transactions/{transaction['id']}",
        "a job": f"/v1/jobs/{transaction['job_id']}",
    }
    return lists | _next_pages(client, lists) | single


def _next_pages(client: Client, lists: Mapping[str, str]) -> dict[str, str]:
    """Return the page that follows the first one of each list that has more."""
    found = {}
    for name, path in lists.items():
        if cursor := client.get(path).json().get("next_cursor"):
            place = f"{READ_ON.get(name, 'cursor')}={cursor}"
            found[f"{name}, next"] = f"{path}{'&' if '?' in path else '?'}{place}"
    return found


def _spreads(clients: Sequence[Client], paths: Sequence[str]) -> list[Spread]:
    """Read in turns, so that whatever else the machine does meets them alike."""
    seconds: list[list[float]] = [[] for _ in clients]
    for turn in range(WARM_UP + READS):
        for client, path, noted in zip(clients, paths, seconds, strict=True):
            took = client.get(path).seconds
            if turn >= WARM_UP:
                noted.append(took)
    return [spread(noted) for noted in seconds]
