"""The whole system with RabbitMQ as its queue: BROKER_URL names it, and nothing else is changed."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from domain.jobs import Queue
from local import ports
from tests.conftest import reachable_folder
from tests.flows.books import Strike, reconcile
from tests.flows.load import Load
from tests.flows.world import World, transfer
from tests.operations.conftest import Recorder
from tests.operations.figures import of_load
from tests.operations.rabbits import Rabbit
from tests.operations.worlds import running, shaken
from tests.supervised import Supervised
from tests.tls import fronted, trusted
from tests.workers.certificates import Authority
from workers.broker import ERRORS, Broker, configuration
from workers.sweeper import ABANDONED_SECONDS, OVERDUE_SECONDS

FREEZE_SECONDS = 8.0  # Longer than every timeout on the way to it.
IDLE_SECONDS = 35.0  # Longer than RabbitMQ keeps a connection whose client does not say that it lives.
POSTS = 400
CLIENTS = 4


@pytest.fixture(scope="module")
def rabbit() -> Iterator[Rabbit]:
    with reachable_folder() as folder, Supervised(folder) as supervised:
        rabbit = Rabbit(supervised)
        rabbit.start()
        yield rabbit


@pytest.fixture(scope="module")
def world(rabbit: Rabbit) -> Iterator[World]:
    with running(BROKER_URL=rabbit.url) as world:
        yield world


def waiting(url: str) -> dict[str, int]:
    """Return how many rings wait in each queue."""
    with Connection(url) as connection:
        channel: Any = connection.default_channel
        return {queue.value: channel.queue_declare(queue.value, passive=True).message_count for queue in Queue}


def test_rings_go_through_it_and_none_through_redis(world: World, rabbit: Rabbit) -> None:
    assert waiting(rabbit.url) == dict.fromkeys((queue.value for queue in Queue), 0)
    shown = world.stack.command("doctor", "--json")
    for queue in Queue:
        assert f'"queue {queue}","finding":"served by' in shown


@pytest.mark.usefixtures("trial")
def test_no_job_is_lost_when_it_is_killed(world: World, rabbit: Rabbit, recorder: Recorder) -> None:
    figures, broken = shaken(world, "RabbitMQ is killed", rabbit.kill)
    recorder(figures)
    assert broken == []


@pytest.mark.usefixtures("trial")
def test_no_job_is_lost_when_it_is_frozen(world: World, rabbit: Rabbit, recorder: Recorder) -> None:
    figures, broken = shaken(world, "RabbitMQ is frozen", lambda: rabbit.freeze(FREEZE_SECONDS))
    recorder(figures)
    assert broken == []


def test_while_it_stays_down_jobs_are_accepted_and_the_sweeper_settles(
    world: World, rabbit: Rabbit, recorder: Recorder
) -> None:
    at = datetime.now(UTC)
    rabbit.hold()
    try:
        with Load(world, POSTS, CLIENTS) as load:
            receipts = load.finish()
        strike = Strike(at=at, back_at=at + timedelta(seconds=ABANDONED_SECONDS))
        figures, broken = reconcile(world, receipts, strike, "RabbitMQ stays down")
    finally:
        rabbit.release()
    recorder(of_load(figures))
    assert broken == []
    assert {receipt.tries for receipt in receipts} == {1}


def test_the_bell_rings_after_a_long_silence(world: World) -> None:
    """By itself: the sweeper would not have rung yet."""
    time.sleep(IDLE_SECONDS)
    source, destination = world.wallets[:2]
    began = time.monotonic()
    job = world.settled("/v1/transfers", transfer(source, destination, 1))
    took = time.monotonic() - began
    assert job.state == "succeeded"
    assert took < OVERDUE_SECONDS


def test_an_encrypted_one_is_verified(rabbit: Rabbit, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with fronted(rabbit.port, authority.serving(ports.HOST)) as port:
        url = rabbit.url.replace("amqp://", "amqps://").replace(f":{rabbit.port}/", f":{port}/")
        connect(f"{url}?ssl_ca_certs={trusted(authority, tmp_path)}")
        with pytest.raises(ERRORS, match="CERTIFICATE_VERIFY_FAILED"):
            connect(url)
    with fronted(rabbit.port, authority.serving("another.example")) as port:
        url = rabbit.url.replace("amqp://", "amqps://").replace(f":{rabbit.port}/", f":{port}/")
        with pytest.raises(ERRORS, match="CERTIFICATE_VERIFY_FAILED"):
            connect(f"{url}?ssl_ca_certs={trusted(authority, tmp_path)}")


def connect(url: str) -> None:
    settings = configuration(url)
    options = {"ssl": settings["broker_use_ssl"], "transport_options": settings["broker_transport_options"]}
    with Broker(settings["broker_url"], **options) as connection:
        connection.connect()
