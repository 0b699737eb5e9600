"""Addresses of Redis and of the broker: what REDIS_URL and BROKER_URL may say, and what production demands of them.

redis://:password@host:6379/0                 one server; rediss:// encrypts
redis+sentinel://:password@host1:26379,host2:26379/master/0?sentinel_password=...
unix://:password@/run/redis.sock?db=0
amqp://user:password@host:5672/vhost          RabbitMQ, as BROKER_URL only; amqps:// encrypts

Encrypted ones verify the certificate; `ssl_ca_certs=/path` in the query names who signed it.
"""

from collections.abc import Sequence
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

SENTINEL_PORT = 26_379
REDIS = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
RABBITMQ = ("amqp", "amqps")
ENCRYPTED = ("rediss", "rediss+sentinel", "amqps")
OPTIONS = ("db", "sentinel_username", "sentinel_password")
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")  # Paths: who signed theirs; our own, where they ask.
GUEST = "guest"  # RabbitMQ's own user and password, which everybody knows.


class Sentinels(msgspec.Struct, frozen=True, kw_only=True):
    """Sentinels, and the master that they know by name. Credentials are `username` and `password`, where given."""

    hosts: tuple[tuple[str, int], ...]
    own_credentials: dict[str, str]
    master: str
    credentials: dict[str, str]  # Of the master.
    database: int
    encryption: dict[str, str] | None  # TLS_OPTIONS, for sentinels and master alike; None: in the clear.


def complaint(url: str, schemes: Sequence[str]) -> str:
    """Return what is wrong with an address, without repeating it: it may hold a password. Empty: nothing."""
    try:
        parts = urlsplit(url)
    except ValueError:  # Its message may repeat all of it.
        return "is not an address"
    if parts.scheme not in schemes:
        return f"begins with none of {', '.join(f'{scheme}://' for scheme in schemes)}"
    # Such as ssl_cert_reqs=none, which would believe any certificate.
    if foreign := sorted(query(parts).keys() - {*OPTIONS, *TLS_OPTIONS}):
        return f"has options other than {', '.join((*OPTIONS, *TLS_OPTIONS))}: {', '.join(foreign)}"
    try:
        if sentinels(url) is None and "," in parts.netloc:
            return "names several hosts; only sentinels are several (redis+sentinel://)"
    except ValueError as error:
        return str(error)
    return ""


def weakness(url: str) -> str:
    """Return what production must not do with: an open door, or a key that everybody has. Empty: nothing."""
    parts, found = urlsplit(url), sentinels(url)
    if not parts.password:
        return "has no password"
    if parts.scheme in RABBITMQ and (parts.username, parts.password) == (GUEST, GUEST):
        return "has the password that RabbitMQ is installed with"
    if found is not None and not found.own_credentials.get("password"):
        return "has no sentinel_password, and who reaches open sentinels may name another master"
    return ""


def passwords(url: str) -> list[str]:
    """Return the passwords that an address holds; none of what is no address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    return [one for one in (parts.password, query(parts).get("sentinel_password")) if one]


def sentinels(url: str) -> Sentinels | None:
    """Return the sentinels that an address names; None when it names a server itself.

    Raises:
        ValueError: saying what is missing, without repeating the address.

    """
    parts = urlsplit(url)
    if not parts.scheme.endswith("+sentinel"):
        return None
    master, _, number = parts.path.strip("/").partition("/")
    if not master:
        raise ValueError("names no master: redis+sentinel://:password@host1:26379,host2:26379/master/0")
    if number and not number.isdecimal():
        raise ValueError("has a database after the master that is no number")
    given = query(parts)
    return Sentinels(
        hosts=tuple(_host(one) for one in parts.netloc.rpartition("@")[2].split(",")),
        own_credentials=_credentials(given.get("sentinel_username"), given.get("sentinel_password")),
        master=unquote(master),
        credentials=_credentials(parts.username, parts.password),
        database=int(number or 0),
        encryption=encryption(parts),
    )


def encryption(parts: SplitResult) -> dict[str, str] | None:
    """Return the TLS_OPTIONS that an address gives; None when it is not encrypted."""
    if parts.scheme not in ENCRYPTED:
        return None
    return {name: value for name, value in query(parts).items() if name in TLS_OPTIONS}


def query(parts: SplitResult) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(parts.query).items()}


def _credentials(username: str | None, password: str | None) -> dict[str, str]:
    given = {"username": username, "password": password}
    return {name: unquote(value) for name, value in given.items() if value}


def _host(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):  # An IPv6 address has colons of its own.
        host, port = text, str(SENTINEL_PORT)
    if not host or not port.isdecimal():
        raise ValueError("has a host that is not host:port")
    return host.strip("[]"), int(port)
