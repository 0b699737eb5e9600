"""Queues in Redis that survive what is written to them, and silence: what goes wrong with one message ends with it.

A message that cannot be read is logged and thrown away. kombu lets the error out: then the worker ends (over a message
that is no JSON, or of another shape), or counts the message for ever as one that it is still at, and takes no other
(over an error between taking it and handing it on, and over an acknowledgement that did not reach Redis).
"""

import traceback
from collections.abc import Callable
from typing import Any

import structlog
from kombu.transport import redis, virtual

# What reading foreign bytes raises. Errors of the connection are none of these, and must get out.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)

log = structlog.get_logger()


class QoS(redis.QoS):
    """Counts what a consumer is at.

    A message that Redis was not told to forget is forgotten here: Celery only logs that, and the connection may live
    on. Redis hands it out again after its visibility timeout, to nobody's harm.
    """

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        try:
            super().reject(delivery_tag, requeue=requeue)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise


class Careful:
    """What kombu's channels to Redis lack."""

    QoS = QoS

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc] # the other parent's
        except UNREADABLE as error:
            if _is_of_connection(error):
                raise ConnectionError(f"no answer of Redis: {error}") from error  # What Celery comes back after.
            log.warning("message unreadable", error=type(error).__name__)
            return True

    def basic_consume(self, queue: str, no_ack: Any, callback: Callable[[Any], Any], *args: Any, **kwargs: Any) -> Any:
        def take(message: Any) -> Any:
            try:
                return callback(message)
            except UNREADABLE as error:
                log.warning("message unreadable", error=type(error).__name__)
                if not message.acknowledged:
                    message.reject()

        return super().basic_consume(queue, no_ack, take, *args, **kwargs)  # type: ignore[misc] # as above


def _is_of_connection(error: Exception) -> bool:
    """Whether it came up while the answer was read: then no message was taken, and the next read would fail too."""
    return any(frame.f_code.co_name == "parse_response" for frame, _ in traceback.walk_tb(error.__traceback__))


class Channel(Careful, redis.Channel):  # type: ignore[misc] # named arguments, which kombu passes by name
    """To one Redis."""


class SentinelChannel(Careful, redis.SentinelChannel):  # type: ignore[misc] # as above
    """To the master that sentinels name."""


class Transport(redis.Transport):
    Channel = Channel


class SentinelTransport(redis.SentinelTransport):
    Channel = SentinelChannel


CAREFUL: dict[type, type] = {redis.Transport: Transport, redis.SentinelTransport: SentinelTransport}
