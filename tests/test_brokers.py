import re

import pytest

import brokers
from brokers import RABBITMQ, REDIS, Sentinels

ANY = (*REDIS, *RABBITMQ)
SENTINELS = "redis+sentinel://:pw@one:1,two,[::1]:3,[::2]/queue/4?sentinel_password=own"


@pytest.mark.parametrize(
    "url",
    [
        "redis://:pw@queue:6379/0",
        "redis://queue",
        "rediss://:pw@queue:6379/0?ssl_ca_certs=/ca.pem",
        "unix://:pw@/run/redis",
        SENTINELS,
        SENTINELS.replace("redis+", "rediss+"),
        "redis+sentinel://host/queue",
        "amqp://user:pw@rabbit:5672/vhost",
        "amqps://user:pw@rabbit",
    ],
)
def test_each_kind_of_address_is_known(url: str) -> None:
    assert brokers.complaint(url, ANY) == ""


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "begins with none of redis://, rediss://, unix://"),
        ("queue:6379", "begins with none of"),
        ("http://queue", "begins with none of"),
        ("sentinel://:secret@host:26379", r"begins with none of .*redis\+sentinel://"),
        ("redis://:secret@[queue:6379/0", "is not an address"),
        ("redis://:secret\u2100@queue:6379/0", "is not an address"),
        ("rediss://:secret@queue/0?ssl_cert_reqs=none", "has options other than db, .*: ssl_cert_reqs"),
        ("redis://:secret@one:6379,two:6379/0", "names several hosts; only sentinels are several"),
        ("amqp://user:secret@one,two/vhost", "names several hosts"),
        ("redis+sentinel://:secret@host:26379", "names no master"),
        ("redis+sentinel://:secret@host:26379/", "names no master"),
        ("redis+sentinel://:secret@host:26379/queue/one", "has a database after the master that is no number"),
        ("redis+sentinel://:secret@host:port/queue", "has a host that is not host:port"),
        ("redis+sentinel://:secret@one,,two/queue", "has a host that is not host:port"),
        ("redis+sentinel:///queue", "has a host that is not host:port"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(url: str, expected: str) -> None:
    found = brokers.complaint(url, ANY)
    assert found
    assert "secret" not in found.replace(":password@", "")
    assert re.search(expected, found)


def test_rabbitmq_keeps_no_notices() -> None:
    assert brokers.complaint("amqp://user:pw@rabbit/vhost", REDIS)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://queue:6379/0", "has no password"),
        ("redis://user:@queue:6379/0", "has no password"),
        ("amqp://user@rabbit/vhost", "has no password"),
        ("amqp://guest:guest@rabbit/vhost", "has the password that RabbitMQ is installed with"),
        ("redis+sentinel://host/queue?sentinel_password=own", "has no password"),
        ("redis+sentinel://:pw@host/queue", "has no sentinel_password"),
        ("redis+sentinel://:pw@host/queue?sentinel_password=", "has no sentinel_password"),
        ("redis://:pw@queue:6379/0", ""),
        ("amqp://guest:better@rabbit/vhost", ""),
        (SENTINELS, ""),
    ],
)
def test_an_open_door_is_a_weakness(url: str, expected: str) -> None:
    assert brokers.weakness(url).partition(",")[0] == expected


def test_sentinels_are_read_from_an_address() -> None:
    assert brokers.sentinels(SENTINELS) == Sentinels(
        hosts=(("one", 1), ("two", 26_379), ("::1", 3), ("::2", 26_379)),
        own_credentials={"password": "own"},
        master="queue",
        credentials={"password": "pw"},
        database=4,
        encryption=None,
    )


def test_what_an_address_must_escape_is_read_as_it_was_meant() -> None:
    url = "rediss+sentinel://me:p%40ss%2F@h/the%20queue?sentinel_username=s&sentinel_password=o%26n&ssl_ca_certs=/ca"
    assert brokers.sentinels(url) == Sentinels(
        hosts=(("h", 26_379),),
        own_credentials={"username": "s", "password": "o&n"},
        master="the queue",
        credentials={"username": "me", "password": "p@ss/"},
        database=0,
        encryption={"ssl_ca_certs": "/ca"},
    )


def test_a_server_is_no_sentinel() -> None:
    assert brokers.sentinels("redis://:pw@queue:6379/0") is None
