"""What is told of an attempt to deliver: not its URL, whose path or query may be a secret, nor what was answered."""

from typing import Any

import structlog

from db.deliveries import ClaimedDelivery
from domain.deliveries import Answer, DeliveryState
from tracing import ERROR_TYPE

log = structlog.get_logger()


def log_attempt(one: ClaimedDelivery, answer: Answer, state: DeliveryState) -> None:
    """Write a line; `state` is what the delivery is in from now on."""
    log.info(
        "webhook attempt",
        delivery_id=one.id,
        endpoint_id=one.endpoint_id,
        key_id=one.key_id,
        event_id=one.event.id,
        event_type=one.event.type,
        attempt=one.attempts + 1,
        status=answer.status,
        error=answer.error,
        duration_ms=answer.duration_ms,
        state=state,
    )


def described(one: ClaimedDelivery) -> dict[str, Any]:
    """Return what a span says first, by the names of OpenTelemetry's conventions where there are any."""
    return {
        "http.request.method": "POST",
        "http.request.resend_count": one.attempts or None,
        "tekana.delivery_id": one.id,
        "tekana.endpoint_id": one.endpoint_id,
        "tekana.event_type": one.event.type,
    }


def ended(answer: Answer) -> dict[str, Any]:
    """Return what it says last."""
    failure = None if answer.is_success else answer.error or str(answer.status)
    return {"http.response.status_code": answer.status, ERROR_TYPE: failure}
