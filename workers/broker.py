"""How workers come back to a broker that was away."""

from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection

RECONNECT_SECONDS = 1  # How often a lost broker is looked for, however long it has been away.


class Broker(Connection):
    """A connection whose worker is back a second after the broker is; kombu itself comes to wait for 30."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Connection:  # type: ignore[override] # passes all on
        steady = {"interval_start": RECONNECT_SECONDS, "interval_max": RECONNECT_SECONDS}
        return super().ensure_connection(*args, **(steady | kwargs))


class Messaging(AMQP):
    Connection = Broker
