"""How Celery speaks to each kind of broker; tests/operations has them under load."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery.worker.consumer.connection import Connection as Step
from kombu.exceptions import OperationalError

from domain.jobs import Queue
from local import ports
from local.stack import Stack
from tests.sentinels import Watched, watched
from tests.tls import fronted, trusted
from tests.workers.certificates import Authority
from workers.broker import RABBITMQ, REDIS, Broker, configuration

VERIFIED = {"ssl_cert_reqs": ssl.CERT_REQUIRED}


@pytest.mark.parametrize(
    ("url", "address", "encryption"),
    [
        ("redis://:pw@queue:6379/0", "redis://:pw@queue:6379/0", None),
        ("rediss://:pw@queue/0", "rediss://:pw@queue/0", VERIFIED),
        ("unix://:pw@/run/redis?db=3", "redis+socket://:pw@/run/redis?virtual_host=3", None),
        ("redis+sentinel://:p%40@a:1,[::1]/m/2", "sentinel://:p%40@a:1/2;sentinel://:p%40@[::1]:26379/2", None),
        ("rediss+sentinel://u:pw@a:1/m", "sentinel://u:pw@a:1/0", VERIFIED),
        ("amqp://me:pw@rabbit/v", "amqp://me:pw@rabbit/v", None),
        (
            "amqps://me:pw@rabbit:5671/v?ssl_ca_certs=/ca",
            "amqps://me:pw@rabbit:5671/v",
            {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "rabbit", "ca_certs": "/ca"},
        ),
    ],
)
def test_an_address_becomes_celerys(url: str, address: str, encryption: dict[str, Any] | None) -> None:
    settings = configuration(url)
    assert settings["broker_url"] == address
    assert settings.get("broker_use_ssl") == encryption


@pytest.mark.parametrize(
    ("url", "expected"),
    [("redis://:pw@queue/0", REDIS), ("redis+sentinel://:pw@a/m", REDIS), ("amqp://me:pw@rabbit/v", RABBITMQ)],
)
def test_every_kind_gives_up_soon(url: str, expected: dict[str, Any]) -> None:
    options = configuration(url)["broker_transport_options"]
    assert expected.items() <= options.items()
    assert {name: value for name, value in options.items() if name.endswith("_timeout") and value > 60} == {}


def test_sentinels_are_asked_with_their_own_password() -> None:
    options = configuration("rediss+sentinel://:pw@a/m?sentinel_password=own")["broker_transport_options"]
    own = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": None, "password": "own", "ssl": True}
    assert (options["master_name"], options["sentinel_kwargs"]) == ("m", own)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@queue:6379/0",
        "unix://:secret@/run/redis.sock",
        "redis+sentinel://:secret@one,two/queue?sentinel_password=secret",
        "amqp://user:secret@rabbit/vhost",
    ],
)
def test_what_celery_tells_of_the_broker_holds_no_credentials(url: str) -> None:
    given = configuration(url)
    broker = Broker(given["broker_url"], transport_options=given["broker_transport_options"])
    consumer = SimpleNamespace(connection=None)
    step = Step(consumer)
    consumer.connection = broker
    told = step.info(consumer)["broker"]
    assert told["transport"]
    assert "secret" not in str(told)


def test_every_kind_is_one_that_celery_knows() -> None:
    for url in ("redis://:p@h", "unix://:p@/s", "redis+sentinel://:p@h/m", "amqp://u:p@h", "amqps://u:p@h"):
        settings = configuration(url)
        connection = Broker(settings["broker_url"], transport_options=settings["broker_transport_options"])
        assert connection.transport.driver_type in {"redis", "amqp"}


def rung(url: str) -> int:
    """Leave a message as the bell does, and return how many wait."""
    settings = configuration(url)
    options = {"ssl": settings.get("broker_use_ssl"), "transport_options": settings["broker_transport_options"]}
    with Broker(settings["broker_url"], **options) as connection:
        queue = connection.SimpleQueue(Queue.TRANSACTIONS.value)
        queue.clear()
        queue.put("ring")
        waiting: int = queue.qsize()
        queue.close()
    return waiting


@pytest.fixture(scope="module")
def sentinels(module_data_dir: Path) -> Iterator[Watched]:
    with watched(module_data_dir) as servers:
        yield servers


def test_a_message_is_left_at_the_master_of_the_day(sentinels: Watched) -> None:
    assert rung(sentinels.url) == 1
    sentinels.fail_over()
    assert rung(sentinels.url) == 1


def test_an_encrypted_broker_is_verified(servers: Stack, tmp_path: Path) -> None:
    plain = urlsplit(servers.redis_url)
    authority = Authority(tmp_path)
    with fronted(plain.port or 0, authority.serving(ports.HOST)) as port:
        url = f"rediss://:{plain.password}@{ports.HOST}:{port}/0"
        assert rung(f"{url}?ssl_ca_certs={trusted(authority, tmp_path)}") == 1
        with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
            rung(url)
