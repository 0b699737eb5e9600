"""Somebody small beside a load: a transfer at a time, at an even pace, and what each of them was answered."""

import contextlib
import statistics
import threading
import time
import uuid
from collections.abc import Iterator, Sequence

import httpx2
import msgspec

from bench.load import CURRENCY, Bank

PER_SECOND = 10
ACCEPTED = 202


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A request: when it was sent by the monotonic clock, how long it took, and what was answered; 0 is no answer."""

    at: float
    seconds: float
    status: int
    job_id: str = ""


class Prober:
    def __init__(self, bank: Bank, wallets: Sequence[str]) -> None:
        self.samples: list[Sample] = []
        self._bank = bank
        self._wallets = wallets
        self._stopped = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, name="prober", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()

    def _run(self) -> None:
        turn = 0
        while not self._stopped.wait(1 / PER_SECOND):
            source, destination = (self._wallets[(turn + side) % len(self._wallets)] for side in (0, 1))
            self.samples.append(self._post(source, destination))
            turn += 1

    def _post(self, source: str, destination: str) -> Sample:
        body = {"source_wallet_id": source, "destination_wallet_id": destination, "amount": 1, "currency": CURRENCY}
        started = time.monotonic()
        try:
            answer = self._bank.client.post("/v1/transfers", json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
        except httpx2.TransportError:
            return Sample(at=started, seconds=time.monotonic() - started, status=0)
        job_id = answer.json()["id"] if answer.status_code == ACCEPTED else ""
        return Sample(at=started, seconds=time.monotonic() - started, status=answer.status_code, job_id=job_id)


def p99_ms(samples: Sequence[Sample]) -> float:
    """Return the 99th percentile of what was accepted; 0 if there are not two."""
    taken = [one.seconds for one in samples if one.status == ACCEPTED]
    return round(statistics.quantiles(taken, n=100, method="inclusive")[98] * 1_000, 1) if len(taken) > 1 else 0.0


def recovery_seconds(samples: Sequence[Sample], since: float, normal_ms: float, window_seconds: float) -> float:
    """Return how long after `since` the last window ended that refused, or took longer than `normal_ms` (p99)."""
    windows: dict[int, list[Sample]] = {}
    for one in samples:
        if one.at >= since:
            windows.setdefault(int((one.at - since) // window_seconds), []).append(one)
    bad = [
        place
        for place, found in windows.items()
        if p99_ms(found) > normal_ms or any(one.status != ACCEPTED for one in found)
    ]
    return (max(bad) + 1) * window_seconds if bad else 0.0
