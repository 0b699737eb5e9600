"""A load of so many requests a second: `python -m bench.paced URL TARGETS RATE SECONDS` prints latencies as JSON.

Requests are due at even distances, whether the ones before were answered or not, and a latency runs from the moment
that a request was *due*: a server that stalls is charged for all who would have come meanwhile. wrk would wait with it,
which is known as coordinated omission. One process, raw HTTP on uvloop: about 40 microseconds a request.
"""

import asyncio
import gc
import random
import re
import sys
import time
import uuid
from collections import deque
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from bench.bank import CURRENCY, Account, Targets
from bench.figures import Spread, spread

CONNECTIONS_MAX = 256  # A request that finds none free waits for one, and its latency runs.
TICK_SECONDS = 0.001  # What is due is looked at so often.
DRAIN_SECONDS_MAX = 30.0
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class Paced(msgspec.Struct, frozen=True, kw_only=True):
    sent: int
    refused: int
    unanswered: int
    broken: int  # Connections that the API closed; the first ends the load.
    seconds: float
    accept_ms: Spread


class Sender(asyncio.Protocol):
    """A connection: one request at a time."""

    def __init__(self, course: "Course") -> None:
        self._course = course
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, due: float) -> None:
        self._due = due
        if self._transport is not None:
            self._transport.write(self._course.request())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._course.lost()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        length = LENGTH.search(self._received, 0, end + 2) if end >= 0 else None
        if length is None or len(self._received) < end + 4 + int(length[1]):
            return
        status = int(self._received[9:12])
        self._received.clear()
        self._course.answered(self, status, self._due)


class Course:
    """When requests are due, which connections are free, and how long answers took."""

    def __init__(self, host: str, targets: Targets) -> None:
        self._host = host
        self._targets = targets
        self._random = random.Random()  # noqa: S311 - a load, not a secret
        self._waiting: deque[float] = deque()
        self._latencies: list[float] = []
        self._refused = self._sent = self._broken = 0
        self._is_closing = False
        # Used in turn: the API closes a connection on which nothing comes for a while.
        self.free: deque[Sender] = deque()

    def request(self) -> bytes:
        """Return a transfer with a key of its own."""
        source = self._random.choice(self._targets.sources)
        body = _body(source, self._destination(source)).encode()
        head = (
            f"POST /v1/transfers HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {source.token}\r\n"
            f"Content-Type: application/json\r\nIdempotency-Key: {uuid.uuid4()}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def due(self, at: float) -> None:
        self._sent += 1
        if self.free:
            self.free.popleft().send(at)
        else:
            self._waiting.append(at)

    def answered(self, sender: Sender, status: int, due: float) -> None:
        self._latencies.append(time.perf_counter() - due)
        self._refused += status not in {200, 202}
        if self._waiting:
            sender.send(self._waiting.popleft())
        else:
            self.free.append(sender)

    def lost(self) -> None:
        self._broken += not self._is_closing

    def is_whole(self) -> bool:
        return self._broken == 0

    def close(self) -> None:
        self._is_closing = True
        for sender in self.free:
            sender.close()

    def is_answered(self) -> bool:
        return len(self._latencies) == self._sent

    def result(self, seconds: float) -> Paced:
        unanswered = self._sent - len(self._latencies)
        return Paced(
            sent=self._sent,
            refused=self._refused,
            unanswered=unanswered,
            broken=self._broken,
            seconds=seconds,
            accept_ms=spread(self._latencies),
        )

    def _destination(self, source: Account) -> str:
        found = source.wallet_id
        while found == source.wallet_id:
            found = self._random.choice(self._targets.destinations)
        return found


def _body(source: Account, destination: str) -> str:
    return (
        f'{{"source_wallet_id":"{source.wallet_id}","destination_wallet_id":"{destination}",'
        f'"amount":1,"currency":"{CURRENCY}"}}'
    )


async def drive(url: str, targets: Targets, rate: float, seconds: float) -> Paced:
    """Send at `rate` a second for `seconds`, then wait for the answers."""
    address = urlsplit(url)
    course = Course(address.netloc, targets)
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS_MAX):
        _, sender = await loop.create_connection(lambda: Sender(course), str(address.hostname), address.port or 80)
        course.free.append(sender)
    began, count = time.perf_counter(), 0
    while count < rate * seconds and course.is_whole():
        while count < rate * seconds and (at := began + count / rate) <= time.perf_counter():
            course.due(at)
            count += 1
        await asyncio.sleep(TICK_SECONDS)
    deadline = time.perf_counter() + DRAIN_SECONDS_MAX
    while course.is_whole() and not course.is_answered() and time.perf_counter() < deadline:  # noqa: ASYNC110 - not worth an event
        await asyncio.sleep(TICK_SECONDS)
    course.close()
    await asyncio.sleep(TICK_SECONDS)
    return course.result(seconds)


def main(url: str, path: str, rate: str, seconds: str) -> None:
    gc.disable()  # A pause of ours would be taken for one of the server's.
    found = uvloop.run(drive(url, Targets.read(Path(path)), float(rate), float(seconds)))
    print(msgspec.json.encode(found).decode())  # noqa: T201 - the result


if __name__ == "__main__":
    main(*sys.argv[1:])
