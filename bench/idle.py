"""Idle latency: one client, one transfer at a time, from the POST to its end; and what a late poll costs."""

import statistics
import time
import uuid

import msgspec

from bench.load import CURRENCY, Bank


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds."""

    transfers: int
    p50_ms: float
    p99_ms: float
    poll_cached_ms: float  # GET of a finished job, median, from Redis.
    poll_uncached_ms: float  # The same when Redis does not have it yet, from PostgreSQL.


def run(bank: Bank, wallets: list[str], transfers: int) -> Idle:
    times, cached, uncached = [], [], []
    for turn in range(transfers):
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Prefer": "wait=10"}
        source, destination = wallets[turn % len(wallets)], wallets[(turn + 1) % len(wallets)]
        body = {
            "source_wallet_id": source,
            "destination_wallet_id": destination,
            "amount": 1,
            "currency": CURRENCY,
        }
        started = time.perf_counter()
        job = bank.client.post("/v1/transfers", json=body, headers=headers).raise_for_status().json()
        times.append(time.perf_counter() - started)
        if job["state"] != "succeeded":
            raise RuntimeError(f"not succeeded: {job}")
        uncached.append(_poll(bank, job["id"]))
        cached.append(_poll(bank, job["id"]))
    return Idle(
        transfers=transfers,
        p50_ms=_milliseconds(statistics.median(times)),
        p99_ms=_milliseconds(statistics.quantiles(times, n=100)[98]),
        poll_cached_ms=_milliseconds(statistics.median(cached)),
        poll_uncached_ms=_milliseconds(statistics.median(uncached)),
    )


def _poll(bank: Bank, job_id: str) -> float:
    started = time.perf_counter()
    bank.client.get(f"/v1/jobs/{job_id}").raise_for_status()
    return time.perf_counter() - started


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1_000, 2)
