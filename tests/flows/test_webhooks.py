"""Webhooks with real processes: receivers that misbehave, thousands of events, and a worker that is killed."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook

import db.jobs
from db.engine import transaction
from domain.jobs import Kind
from domain.transactions import Movement
from tests.flows.load import Load
from tests.flows.receivers import (
    Answering,
    Message,
    Receiver,
    Receivers,
    at_first,
    register,
    remove,
    saying,
    wait_until,
    well,
)
from tests.flows.trials import IS_FULL
from tests.flows.world import CURRENCY, WEBHOOK_RETRIES, WEBHOOK_TIMEOUT_SECONDS, World
from tests.made import submission
from tests.workers.certificates import Authority
from tests.workers.sinks import hang_up
from workers.lanes import LANE_SLOTS

pytestmark = pytest.mark.alone

WORKER = "worker-webhooks"
EVENTS = 10_000 if IS_FULL else 2_000
STAGED_AT_ONCE = 500
FAILING_SHARE = 20  # One message in so many is refused at first.
RETRY_AFTER_SECONDS = 3
CLIENTS = 8
PAUSE_SECONDS = 0.02
KILLS = 20 if IS_FULL else 2
BETWEEN_KILLS = 60  # Transfers.
HUGE = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n"


async def silence(_: Message, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(WEBHOOK_TIMEOUT_SECONDS * 2)
    writer.close()


async def drip(_: Message, writer: asyncio.StreamWriter) -> None:
    """Send a byte a second, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(1)


async def reset(_: Message, writer: asyncio.StreamWriter) -> None:
    hang_up(writer)


async def flood(_: Message, writer: asyncio.StreamWriter) -> None:
    """Answer with 10 MB."""
    writer.write(HUGE)
    for _piece in range(100):
        writer.write(b"x" * 100_000)
        await writer.drain()


class Case(NamedTuple):
    answer: Answering
    state: str
    outcomes: list[Any]  # Of each attempt: its status, or why it has none.
    disabled_reason: str | None = None


ALL = len(WEBHOOK_RETRIES)
CASES: dict[str, Case] = {
    "500": Case(saying("500 Internal Server Error", body="no\x00\npe"), "failed", [500] * ALL),
    "404": Case(saying("404 Not Found"), "failed", [404] * ALL),
    "500, then well": Case(at_first(saying("500 Oh"), well), "succeeded", [500, 200]),
    "silence": Case(silence, "failed", ["timed_out"] * ALL),
    "a byte a second": Case(drip, "failed", ["timed_out"] * ALL),
    "redirect": Case(saying("302 Found", "Location: http://127.0.0.1:1/"), "failed", [302] * ALL),
    "410": Case(saying("410 Gone"), "failed", [410], disabled_reason="answered_410"),
    "429, Retry-After": Case(
        at_first(saying("429 Slow", f"Retry-After: {RETRY_AFTER_SECONDS}"), well), "succeeded", [429, 200]
    ),
    "503, then well": Case(at_first(saying("503 Busy"), well), "succeeded", [503, 200]),
    "10 MB": Case(flood, "succeeded", [200]),
    "reset": Case(reset, "failed", ["connection_lost"] * ALL),
    "nonsense": Case(saying("that is no status"), "failed", ["answer_malformed"] * ALL),
}


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    with Receivers() as receivers:
        yield receivers


def test_every_bad_receiver_is_answered_as_documented(world: World, receivers: Receivers, tmp_path: Path) -> None:
    opened = {name: register(world, receivers.open(case.answer), "deposit.*") for name, case in CASES.items()}
    opened["bad certificate"] = register(
        world, receivers.open(well, Authority(tmp_path).serving("127.0.0.1")), "deposit.*"
    )
    deliveries = {name: _test(world, receiver) for name, receiver in opened.items()}
    assert wait_until(lambda: all(_state(world, one) != "pending" for one in deliveries.values()))
    found = {name: _found(world, opened[name], one) for name, one in deliveries.items()}
    expected = {name: (case.state, case.outcomes, case.disabled_reason) for name, case in CASES.items()}
    assert found == expected | {"bad certificate": ("failed", ["tls_failed"] * ALL, None)}
    first, second = opened["429, Retry-After"].messages
    assert second.at - first.at >= RETRY_AFTER_SECONDS
    assert _delivery(world, deliveries["500"])["attempts"][0]["excerpt"].isprintable()
    for receiver in opened.values():
        remove(world, receiver)


def test_thousands_of_events_all_arrive_once_beside_receivers_that_never_answer(
    world: World, receivers: Receivers
) -> None:
    refused: set[str] = set()

    async def mostly_well(message: Message, writer: asyncio.StreamWriter) -> None:
        is_new = message.id not in refused
        if is_new and hash(message.id) % FAILING_SHARE == 0:
            refused.add(message.id)
            await saying("500 Not now")(message, writer)
        else:
            await well(message, writer)

    good = register(world, receivers.open(mostly_well), "transfer.*")
    dead = [register(world, receivers.open(silence), "transfer.*") for _ in range(3)]
    job_ids = _stage(world, EVENTS)
    assert wait_until(lambda: len(good.counts()) >= EVENTS, 120)
    assert wait_until(lambda: not _pending(world, good))
    told = {_verified(good, message)["data"]["id"] for message in good.messages}
    assert told == job_ids
    assert len(refused) > EVENTS // FAILING_SHARE // 2
    assert _unrecorded(world, good) == 0
    for receiver in (good, *dead):
        remove(world, receiver)


def test_a_killed_webhook_worker_loses_nothing_and_doubles_at_most_what_was_under_way(
    world: World, receivers: Receivers
) -> None:
    receiver = register(world, receivers.open(), "transfer.*")
    with Load(world, 100_000, CLIENTS, PAUSE_SECONDS) as load:
        for kill in range(1, KILLS + 1):
            load.wait_answered(kill * BETWEEN_KILLS)
            world.stack.wait_restarted(WORKER, world.stack.kill(WORKER))
        receipts = load.finish(more=BETWEEN_KILLS)
    assert wait_until(lambda: len(receiver.counts()) >= len(receipts))
    told = {_verified(receiver, message)["data"]["id"] for message in receiver.messages}
    assert told == {receipt.job_id for receipt in receipts}
    assert _unrecorded(world, receiver) <= KILLS * LANE_SLOTS
    remove(world, receiver)


def test_a_webhook_worker_that_starts_without_redis_sends_all_the_same(world: World, receivers: Receivers) -> None:
    receiver = register(world, receivers.open(), "transfer.*")
    world.stack.hold("redis")
    try:
        world.stack.wait_restarted(WORKER, world.stack.kill(WORKER))
        delivery_id = _test(world, receiver)
        assert wait_until(lambda: _state(world, delivery_id) == "succeeded")
    finally:
        world.stack.release("redis")
    remove(world, receiver)


def test_a_webhook_worker_that_is_asked_to_stop_records_all_that_it_sent(world: World, receivers: Receivers) -> None:
    async def slowly(message: Message, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(WEBHOOK_TIMEOUT_SECONDS / 4)
        await well(message, writer)

    receiver = register(world, receivers.open(slowly), "transfer.*")
    with Load(world, 100_000, CLIENTS, PAUSE_SECONDS) as load:
        load.wait_answered(BETWEEN_KILLS)
        pid = world.stack.pid(WORKER)
        os.kill(pid, signal.SIGTERM)
        assert wait_until(lambda: world.stack.pid(WORKER) != pid)
        receipts = load.finish(more=BETWEEN_KILLS)
    assert wait_until(lambda: len(receiver.counts()) >= len(receipts) and not _pending(world, receiver))
    assert _unrecorded(world, receiver) == 0
    remove(world, receiver)


def _test(world: World, receiver: Receiver) -> str:
    response = world.http.post(f"/v1/webhook-endpoints/{receiver.endpoint_id}/test")
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def _delivery(world: World, delivery_id: str) -> dict[str, Any]:
    response = world.http.get(f"/v1/webhook-deliveries/{delivery_id}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def _state(world: World, delivery_id: str) -> str:
    return str(_delivery(world, delivery_id)["state"])


def _found(world: World, receiver: Receiver, delivery_id: str) -> tuple[str, list[Any], str | None]:
    delivery = _delivery(world, delivery_id)
    endpoint = world.http.get(f"/v1/webhook-endpoints/{receiver.endpoint_id}").json()
    outcomes = [attempt["error"] or attempt["status"] for attempt in delivery["attempts"]]
    return delivery["state"], outcomes, endpoint["disabled_reason"]


def _verified(receiver: Receiver, message: Message) -> dict[str, Any]:
    found: dict[str, Any] = Webhook(receiver.secret).verify(message.body, message.headers)
    return found


def _pending(world: World, receiver: Receiver) -> bool:
    query = text("SELECT EXISTS (SELECT FROM webhook_deliveries WHERE endpoint_id = :id AND state = 'pending')")
    with world.tx() as tx:
        return bool(tx.scalar(query, {"id": receiver.endpoint_id}))


def _unrecorded(world: World, receiver: Receiver) -> int:
    """Count the messages that came without an attempt in the log: nobody knew that they were sent."""
    query = text(
        "SELECT CAST(event_id AS text) AS event_id, jsonb_array_length(attempts) AS attempts"
        " FROM webhook_deliveries WHERE endpoint_id = :id"
    )
    with world.tx() as tx:
        attempts = {row.event_id: row.attempts for row in tx.execute(query, {"id": receiver.endpoint_id})}
    return sum(max(0, count - attempts[event_id]) for event_id, count in receiver.counts().items())


def _stage(world: World, count: int) -> set[str]:
    """Queue transfers without the detour through HTTP; the sweeper rings for them."""
    ids = set()
    source, destination = world.wallets[:2]
    movement = Movement(
        amount=1, currency=CURRENCY, source_wallet_id=UUID(source), destination_wallet_id=UUID(destination)
    )
    for _ in range(count // STAGED_AT_ONCE):
        staged = [submission(Kind.TRANSFER_CREATE, movement) for _ in range(STAGED_AT_ONCE)]
        with transaction(world.stack.env["DATABASE_API_URL"]) as tx:
            db.jobs.stage(tx, staged)
        ids |= {str(one.id) for one in staged}
    world.balances[source] -= count
    world.balances[destination] += count
    return ids
