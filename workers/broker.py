"""The broker: how Celery speaks to each kind of it, and how workers come back to one that was away.

Whatever the broker, a message is a doorbell: it may be lost or doubled, and nobody waits for it for long.
"""

import re
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import amqp.exceptions
from celery.app.amqp import AMQP
from kombu import Connection
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

import brokers
from brokers import Sentinels
from workers.channels import CAREFUL

RECONNECT_SECONDS = 1  # How often a lost broker is looked for, however long it has been away.
SOCKET_SECONDS = 5  # For any answer: a broker that is frozen is a broker that is lost.
CONNECT_SECONDS = 1
# What a broker that is away, lost on the way, or unwilling makes of a command.
ERRORS = (KombuError, RedisError, amqp.exceptions.AMQPError, OSError)
CERTIFICATE_NEEDED: dict[str, Any] = {"ssl_cert_reqs": ssl.CERT_REQUIRED}  # kombu's default is to look at none.
REDIS: dict[str, Any] = {
    "visibility_timeout": 60,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": SOCKET_SECONDS,
    "socket_connect_timeout": CONNECT_SECONDS,
    "health_check_interval": 10,
    "max_retries": 0,  # The bell gives up at once; consumers reconnect by Celery's settings, for ever.
}
RABBITMQ: dict[str, Any] = {
    "read_timeout": SOCKET_SECONDS,
    "write_timeout": SOCKET_SECONDS,
    "connect_timeout": CONNECT_SECONDS,
    "max_retries": 0,
}


def configuration(url: str) -> dict[str, Any]:
    """Return Celery's settings for the broker at this address (see `brokers`)."""
    parts = urlsplit(url)
    found = brokers.sentinels(url)
    if found is not None:
        return _sentinels(found)
    if parts.scheme in brokers.RABBITMQ:
        options = brokers.encryption(parts)
        address = parts._replace(query="").geturl()
        return _settings(address, RABBITMQ, None if options is None else _rabbitmq_tls(parts.hostname or "", options))
    if parts.scheme == "unix":
        database = brokers.query(parts).get("db", "0")
        address = f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database}"
        return _settings(address, REDIS, None)
    return _settings(url, REDIS, None if brokers.encryption(parts) is None else CERTIFICATE_NEEDED)


def _sentinels(found: Sentinels) -> dict[str, Any]:
    """Return the settings for a master that sentinels know: all of these are asked where it is."""
    user, password = (quote(found.credentials.get(name, ""), safe="") for name in ("username", "password"))
    hosts = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in found.hosts)
    address = ";".join(f"sentinel://{user}:{password}@{host}/{found.database}" for host in hosts)
    # Each is tried once, because there are others.
    own: dict[str, Any] = {"socket_timeout": CONNECT_SECONDS, "socket_connect_timeout": CONNECT_SECONDS, "retry": None}
    own |= found.own_credentials
    if found.encryption is None:
        return _settings(address, REDIS | {"master_name": found.master, "sentinel_kwargs": own}, None)
    own |= {"ssl": True} | found.encryption
    options = REDIS | {"master_name": found.master, "sentinel_kwargs": own}
    return _settings(address, options, CERTIFICATE_NEEDED | found.encryption)


def _settings(url: str, options: Mapping[str, Any], encryption: Mapping[str, Any] | None) -> dict[str, Any]:
    settings = {"broker_url": url, "broker_transport_options": dict(options)}
    return settings if encryption is None else settings | {"broker_use_ssl": dict(encryption)}


def _rabbitmq_tls(host: str, options: Mapping[str, str]) -> dict[str, Any]:
    """Verify RabbitMQ's certificate, and that it is for this host (RFC 9525)."""
    given = {name.removeprefix("ssl_"): value for name, value in options.items()}
    return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": host} | given


class Broker(Connection):
    """A connection whose worker is back a second after the broker is; kombu itself comes to wait for 30.

    And one that no message takes down.
    """

    def get_transport_cls(self) -> type:
        found: type = super().get_transport_cls()
        return CAREFUL.get(found, found)

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Connection:  # type: ignore[override] # passes all on
        steady = {"interval_start": RECONNECT_SECONDS, "interval_max": RECONNECT_SECONDS}
        return super().ensure_connection(*args, **(steady | kwargs))

    def info(self) -> dict[str, Any]:
        """Return what Celery tells of this connection, but for the password, to whoever asks a worker, such as Flower.

        The passwords of sentinels and of a socket stand where Celery does not look for them.
        """
        told: dict[str, Any] = super().info()
        options = {name: value for name, value in told["transport_options"].items() if name != "sentinel_kwargs"}
        hostname = re.sub("//.*@", "//", told["hostname"] or "")
        return told | {"transport_options": options, "hostname": hostname}


class Messaging(AMQP):
    Connection = Broker
