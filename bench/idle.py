"""Idle latency: one client, one transfer at a time, from the POST to its end; and what a late poll costs."""

import statistics

import msgspec

from bench.client import Client
from bench.figures import Spread, spread
from bench.scene import Scene


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    transfers: int
    wait_ms: Spread  # A POST with `Prefer: wait`, until its answer says `succeeded`: what the client sees.
    accept_ms: Spread  # A POST without: until the 202.
    settle_ms: Spread  # The former's jobs, from `created_at` to `finished_at`.
    poll_cached_ms: float  # GET of a finished job, median, from Redis.
    poll_uncached_ms: float  # The same when Redis does not have it yet, from PostgreSQL.


SETTLED = """
    SELECT extract(epoch FROM finished_at - created_at) FROM jobs WHERE id = ANY(CAST(%(ids)s AS uuid[]))
"""


def measure(scene: Scene) -> Idle:
    """Measure with the token of one customer, who pays one after the other of the wallets."""
    payer = scene.bank.accounts[0]
    receivers = [wallet for wallet in scene.bank.wallets if wallet != payer.wallet_id]
    ids, waited, accepted, cached, uncached = [], [], [], [], []
    with Client(scene.stack.api_url, payer.token) as client:
        for turn in range(scene.options.idle_transfers):
            answer = client.transfer(payer, receivers[turn % len(receivers)], Prefer="wait=10")
            job = answer.json()
            if job["state"] != "succeeded":
                raise RuntimeError(f"not succeeded: {job}")
            ids.append(job["id"])
            waited.append(answer.seconds)
            uncached.append(client.get(f"/v1/jobs/{job['id']}").seconds)
            cached.append(client.get(f"/v1/jobs/{job['id']}").seconds)
            accepted.append(client.transfer(payer, receivers[turn % len(receivers)]).seconds)
            scene.database.wait_settled()
    return Idle(
        transfers=len(waited),
        wait_ms=spread(waited),
        accept_ms=spread(accepted),
        settle_ms=spread([float(seconds) for (seconds,) in scene.database.rows(SETTLED, ids=ids)]),
        poll_cached_ms=_milliseconds(statistics.median(cached)),
        poll_uncached_ms=_milliseconds(statistics.median(uncached)),
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1_000, 2)
