"""Whoever writes to the queue disturbs workers at most: no ring moves money twice, is executed, or stops one."""

import base64
import itertools
import os
import pickle
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import redis

from tests.flows.bank import Bank
from tests.flows.books import Strike, reconcile
from tests.flows.conftest import Recorder
from tests.flows.faults import WORKER
from tests.flows.load import Load
from tests.flows.trials import Case
from tests.flows.world import World, transfer

pytestmark = pytest.mark.alone

QUEUE = "transactions"
TRANSFERS_MAX = 50_000
CLIENTS = 4
PAUSE_SECONDS = 0.2  # A ring settles all that there is: more would keep workers from the other rings.
REPEATS = 5
HEARD_SECONDS_MAX = 5.0
WAITING_MAX = 5  # The API rings all the time.
TAKEN_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.05
HUGE_BYTES = 10_000_000
HUGE_EACH = 20  # Portions.

Ring = dict[str, Any]


def genuine(ring: Ring, _: Random) -> bytes:
    return msgspec.json.encode(_addressed(ring))


def of_nobody(ring: Ring, draw: Random) -> bytes:
    """Ring for many jobs that are not there."""
    return _with_arguments(ring, [draw.randrange(10**9), str(uuid4())])


def of_wrong_types(ring: Ring, draw: Random) -> bytes:
    return _with_arguments(ring, draw.choice([[], [1, 2, 3], [None, {}], ["'; DROP TABLE jobs", -1]]))


def of_no_task(ring: Ring, draw: Random) -> bytes:
    task = draw.choice(["os.system", "transactions.none", "", 7, "celery.backend_cleanup"])
    return msgspec.json.encode(_addressed(ring | {"headers": ring["headers"] | {"task": task}}))


def without_headers(ring: Ring, _: Random) -> bytes:
    return msgspec.json.encode(_addressed(ring | {"headers": {}}))


def cut_short(ring: Ring, draw: Random) -> bytes:
    message = genuine(ring, draw)
    return message[: draw.randrange(len(message))]


def noise(_: Ring, draw: Random) -> bytes:
    return draw.randbytes(draw.randrange(200))


def of_another_shape(_: Ring, draw: Random) -> bytes:
    return draw.choice([b"[]", b"{}", b"null", b'"ring"', b"7", b'{"body": 1}', b'{"properties": {}}'])


def wrongly_packed(ring: Ring, _: Random) -> bytes:
    return msgspec.json.encode(_addressed(ring | {"body": "no base64!"}))


def huge(ring: Ring, _: Random) -> bytes:
    return _with_arguments(ring, [1, "x" * HUGE_BYTES])


KINDS = (
    genuine,
    of_nobody,
    of_wrong_types,
    of_no_task,
    without_headers,
    cut_short,
    noise,
    of_another_shape,
    wrongly_packed,
)


def test_no_ring_settles_a_job_twice_or_stops_a_worker(
    trial: Case, world: World, recorder: Recorder, tmp_path: Path
) -> None:
    executed = tmp_path / "executed"
    with redis.Redis.from_url(world.stack.redis_url) as client:
        ring, pid = _heard(world, client), world.stack.pid(WORKER)
        started = datetime.now(UTC)
        with Bank(world), Load(world, TRANSFERS_MAX, CLIENTS, PAUSE_SECONDS, draw=trial.draw) as load:
            for rings in _portions(ring, trial, executed):
                client.lpush(QUEUE, *rings)
                _wait_taken(client, WAITING_MAX)
            receipts = load.finish(more=CLIENTS)
    figures, broken = reconcile(world, receipts, Strike(at=started, back_at=started), trial.row)
    recorder(msgspec.structs.replace(figures, trials=trial.number))
    assert broken == []
    assert world.stack.pid(WORKER) == pid
    assert not executed.exists()


def _heard(world: World, client: redis.Redis) -> Ring:
    """Return a ring as the API sends it, for a job that a worker then settles."""
    world.stack.hold(WORKER)
    world.post("/v1/transfers", transfer(world.wallets[0], world.wallets[1], 1))
    deadline = time.monotonic() + HEARD_SECONDS_MAX
    while not (found := client.lrange(QUEUE, 0, 0)):
        assert time.monotonic() < deadline
        time.sleep(LOOK_SECONDS)
    world.stack.release(WORKER)
    ring: Ring = msgspec.json.decode(found[0])
    return ring


def _portions(ring: Ring, trial: Case, executed: Path) -> Iterator[list[bytes]]:
    """Yield what is sent at once: every kind five times, in any order, and the same bytes five times, too."""
    draw = trial.draw
    left = trial.number
    for number in itertools.count():
        rings = [kind(ring, draw) for kind in KINDS for _ in range(REPEATS)] + [_pickled(ring, executed)] * REPEATS
        rings += [genuine(ring, draw)] * REPEATS + [huge(ring, draw)] * (number % HUGE_EACH == 0)
        draw.shuffle(rings)
        yield rings[:left]
        left -= len(rings)
        if left <= 0:
            return


def _wait_taken(client: redis.Redis, most: int) -> None:
    """Wait until no more than so many rings wait: a worker that hangs does not take them."""
    deadline = time.monotonic() + TAKEN_SECONDS_MAX
    while client.llen(QUEUE) > most:
        assert time.monotonic() < deadline, "nobody takes the rings"
        time.sleep(LOOK_SECONDS)


def _addressed(ring: Ring) -> Ring:
    """Return it as another message."""
    properties = ring["properties"] | {"delivery_tag": str(uuid4()), "correlation_id": str(uuid4())}
    return ring | {"properties": properties}


def _with_arguments(ring: Ring, arguments: list[Any]) -> bytes:
    body = msgspec.json.encode([arguments, {}, {}])
    return msgspec.json.encode(_addressed(ring | {"body": base64.b64encode(body).decode()}))


def _pickled(ring: Ring, executed: Path) -> bytes:
    """Ring with a body that runs a command in whoever unpacks it."""

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {executed}",)

    packed = {"body": base64.b64encode(pickle.dumps(Bomb())).decode(), "content-type": "application/x-python-serialize"}
    return msgspec.json.encode(_addressed(ring | packed))
