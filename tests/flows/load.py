"""Clients that behave: each submits transfers, and repeats one under the same key until it is answered."""

import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Self
from uuid import uuid4

import httpx2
import msgspec

from tests.flows import seeds
from tests.flows.world import World, decode, transfer

RETRY_SECONDS = 0.1  # Times a random factor: clients that were refused together come back apart.
PATIENCE_SECONDS = 60.0  # For one transfer: longer than any dependency of these tests stays away.
AMOUNT_MAX = 50_00
SHOWN = 5  # Of the answers that surprised; the rest look the same.


Wanted = tuple[str, str, str, int]  # Key, source, destination, amount.


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer that was answered with a job."""

    key: str
    job_id: str
    source: str
    destination: str
    amount: int
    answered_at: datetime
    seconds: float  # The answered try's.
    tries: int


class Load:
    """Transfers from `clients` threads, which start on entry and pause for a moment after each answer.

    They go on until `finish`, or until `count` were submitted.
    """

    def __init__(
        self,
        world: World,
        count: int,
        clients: int,
        pause_seconds: float = 0.0,
        *,
        wallets: Sequence[str] = (),
        draw: random.Random | None = None,
    ) -> None:
        self.receipts: list[Receipt] = []
        self.surprises: list[str] = []  # Answers that no client should ever see.
        self.refused = 0  # Tries that got a 503.
        self.unanswered = 0  # Tries whose connection broke, so that nobody knows what became of them.
        self._world = world
        self._prefix = uuid4().hex
        self._draw = draw or seeds.draw("load")
        self._pause_seconds = pause_seconds
        self._count = count
        self._submitted = 0
        self._todo = self._transfers(pairs(self._draw.sample(wallets := wallets or world.wallets, len(wallets))))
        self._lock = threading.Lock()
        self._answered = threading.Condition()
        self._size = clients
        self._pool = ThreadPoolExecutor(clients, thread_name_prefix="client")
        self._clients: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._clients = [self._pool.submit(self._run) for _ in range(self._size)]
        return self

    def __exit__(self, *_: object) -> None:
        self._count = 0
        self._pool.shutdown()

    def finish(self, more: int | None = None) -> list[Receipt]:
        """Return the receipts when every transfer has one; with `more`, submit only so many from now on.

        Raises:
            AssertionError: a client lost its patience or saw what it never should.

        """
        if more is not None:
            self._count = min(self._count, self._submitted + more)
        for client in self._clients:
            client.result()
        assert self.surprises == [], self.surprises[:SHOWN]
        return self.receipts

    def wait_answered(self, count: int) -> None:
        with self._answered:
            assert self._answered.wait_for(lambda: len(self.receipts) >= count, PATIENCE_SECONDS)

    def _transfers(self, between: Iterator[tuple[str, str]]) -> Iterator[Wanted]:
        for source, destination in between:
            yield f"{self._prefix}-{self._submitted}", source, destination, self._draw.randint(1, AMOUNT_MAX)

    def _next(self) -> Wanted | None:
        with self._lock:
            if self._submitted >= self._count:
                return None
            self._submitted += 1
            return next(self._todo)

    def _run(self) -> None:
        while (wanted := self._next()) is not None:
            receipt = self._submit(*wanted)
            with self._answered:
                self.receipts.append(receipt)
                self._answered.notify_all()
            time.sleep(self._pause_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    def _submit(self, key: str, source: str, destination: str, amount: int) -> Receipt:
        deadline = time.monotonic() + PATIENCE_SECONDS
        body = transfer(source, destination, amount)
        tries = 0
        while True:
            tries += 1
            started = time.monotonic()
            response = self._try(key, body)
            if response is not None:
                return Receipt(
                    key=key,
                    job_id=decode(response).id,
                    source=source,
                    destination=destination,
                    amount=amount,
                    answered_at=datetime.now(UTC),
                    seconds=time.monotonic() - started,
                    tries=tries,
                )
            assert time.monotonic() < deadline, f"{key} was not answered within {PATIENCE_SECONDS} s"
            time.sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    def _try(self, key: str, body: dict[str, object]) -> httpx2.Response | None:
        try:
            response = self._world.post("/v1/transfers", body, key)
        except httpx2.TransportError:
            self.unanswered += 1
            return None
        if response.status_code in {200, 202}:
            return response
        if response.status_code == 503 and "Retry-After" in response.headers:
            self.refused += 1
        else:
            self.surprises.append(f"{response.status_code} {response.text}")
        return None


def pairs(wallets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield sources and destinations, every wallet in both roles, for ever."""
    for step in itertools.cycle(range(1, len(wallets))):
        for at, source in enumerate(wallets):
            yield source, wallets[(at + step) % len(wallets)]
