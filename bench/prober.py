"""Somebody small beside a load: a transfer at a time, at an even pace, and what each of them was answered."""

import contextlib
import math
import threading
import time
import uuid
from collections.abc import Iterator, Sequence

import httpx2
import msgspec

from bench.bank import CURRENCY
from bench.figures import spread

PER_SECOND = 10
ACCEPTED = 202


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A request: when it was sent by the monotonic clock, how long it took, and what was answered; 0 is no answer."""

    at: float
    seconds: float
    status: int
    job_id: str = ""


class Prober:
    def __init__(self, client: httpx2.Client, wallets: Sequence[str]) -> None:
        self.samples: list[Sample] = []
        self._client = client
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
            answer = self._client.post("/v1/transfers", json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
        except httpx2.TransportError:
            return Sample(at=started, seconds=time.monotonic() - started, status=0)
        job_id = answer.json()["id"] if answer.status_code == ACCEPTED else ""
        return Sample(at=started, seconds=time.monotonic() - started, status=answer.status_code, job_id=job_id)


def p99_ms(samples: Sequence[Sample]) -> float:
    """Return the 99th percentile of what was accepted; infinite when nothing was."""
    taken = [one.seconds for one in samples if one.status == ACCEPTED]
    return spread(taken).p99 if taken else math.inf


def recovery_seconds(samples: Sequence[Sample], since: float, normal_ms: float, step_seconds: float) -> float:
    """Return how long after `since` nothing is refused any more, and the p99 of all that follows is normal."""
    rest, passed = [one for one in samples if one.at >= since], 0.0
    while rest and (p99_ms(rest) > normal_ms or any(one.status != ACCEPTED for one in rest)):
        passed += step_seconds
        rest = [one for one in rest if one.at >= since + passed]
    return passed
