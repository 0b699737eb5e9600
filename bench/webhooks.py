"""Webhooks: how many a second one worker delivers, how soon, and what a dead receiver costs the others."""

import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import msgspec

from bench import load
from bench.bank import CURRENCY, Bank
from bench.scene import Scene

WORKER = "worker-webhooks"
BACKLOG_SECONDS = 3  # Of transfers at full speed, while nobody delivers.
RATE_PER_SECOND = 50
PACED_SECONDS = 10
TURNS = 3  # Of each of the two that are compared, one after the other.
PATIENCE_SECONDS = 120.0


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """From an event's time, just before its commit, to its receipt."""

    p50_ms: float
    p99_ms: float


class Webhooks(msgspec.Struct, frozen=True, kw_only=True):
    """One worker, one receiver. `dead_endpoint_ratio`: p99 beside an endpoint that never answers, over p99 alone."""

    backlog: int
    deliveries_per_second: float
    rate_per_second: int
    alone: Latency
    beside_a_dead_endpoint: Latency
    dead_endpoint_ratio: float


class Note(msgspec.Struct, frozen=True):
    received_at: float
    happened_at: float


class Sink:
    """A receiver in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{uuid.uuid4().hex}.txt"
        self._process = subprocess.Popen([sys.executable, "-m", "bench.sink", str(self._path)])
        _wait(lambda: self._path.exists() and "\n" in self._path.read_text(encoding="ascii"))
        self.url = f"http://127.0.0.1:{self._lines()[0]}/"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def notes(self) -> list[Note]:
        pairs = (line.split() for line in self._lines()[1:])
        return [Note(received_at=float(received), happened_at=float(happened)) for received, happened in pairs]

    def _lines(self) -> list[str]:
        text = self._path.read_text(encoding="ascii")
        return text[: text.rfind("\n") + 1].splitlines()


def measure(scene: Scene) -> Webhooks:
    bank, wallets = scene.bank, [one.wallet_id for one in scene.bank.accounts]
    with tempfile.TemporaryDirectory() as folder, Sink(Path(folder)) as sink, _endpoint(bank, sink.url):
        backlog, per_second = _drain(scene, sink)
        alone, beside = [], []
        for _ in range(TURNS):
            alone.append(_paced(bank, wallets, sink))
            with _silent() as url, _endpoint(bank, url):
                beside.append(_paced(bank, wallets, sink))
    ratio = statistics.median(one.p99_ms for one in beside) / statistics.median(one.p99_ms for one in alone)
    return Webhooks(
        backlog=backlog,
        deliveries_per_second=per_second,
        rate_per_second=RATE_PER_SECOND,
        alone=_median(alone),
        beside_a_dead_endpoint=_median(beside),
        dead_endpoint_ratio=round(ratio, 2),
    )


def _drain(scene: Scene, sink: Sink) -> tuple[int, float]:
    """Let events gather while the worker is down; then measure from the first receipt to the last."""
    scene.stack.hold(WORKER)
    before = len(sink.notes())
    settled = load.run(scene, scene.bank.targets, clients=32, seconds=BACKLOG_SECONDS).settled
    scene.stack.release(WORKER)
    _wait(lambda: len(sink.notes()) - before >= settled)
    times = [note.received_at for note in sink.notes()[before:]]
    return settled, round((len(times) - 1) / (max(times) - min(times)), 1)


def _paced(bank: Bank, wallets: list[str], sink: Sink) -> Latency:
    before, count = len(sink.notes()), RATE_PER_SECOND * PACED_SECONDS
    started = time.monotonic()
    for turn in range(count):
        time.sleep(max(0.0, started + turn / RATE_PER_SECOND - time.monotonic()))
        source, destination = wallets[turn % len(wallets)], wallets[(turn + 1) % len(wallets)]
        body = {"source_wallet_id": source, "destination_wallet_id": destination, "amount": 1, "currency": CURRENCY}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        bank.client.post("/v1/transfers", json=body, headers=headers).raise_for_status()
    _wait(lambda: len(sink.notes()) - before >= count)
    times = [1_000 * (note.received_at - note.happened_at) for note in sink.notes()[before:]]
    p99 = statistics.quantiles(times, n=100)[98]
    return Latency(p50_ms=round(statistics.median(times), 2), p99_ms=round(p99, 2))


def _median(found: list[Latency]) -> Latency:
    return Latency(
        p50_ms=statistics.median(one.p50_ms for one in found), p99_ms=statistics.median(one.p99_ms for one in found)
    )


@contextlib.contextmanager
def _endpoint(bank: Bank, url: str) -> Iterator[None]:
    body = {"url": url, "event_types": ["transfer.*"]}
    made = bank.client.post("/v1/webhook-endpoints", json=body).raise_for_status().json()
    try:
        yield
    finally:
        bank.client.delete(f"/v1/webhook-endpoints/{made['id']}").raise_for_status()


@contextlib.contextmanager
def _silent() -> Iterator[str]:
    """Listen where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def _wait(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            raise RuntimeError("webhooks did not arrive")
        time.sleep(0.1)
