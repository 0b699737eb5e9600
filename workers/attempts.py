"""Attempts of webhooks in the log."""

import structlog

from db.deliveries import ClaimedDelivery
from domain.deliveries import Answer
from domain.retries import Verdict

log = structlog.get_logger()


def say(one: ClaimedDelivery, answer: Answer, verdict: Verdict) -> None:
    """Say what came of an attempt; not of the URL, whose path or query may be a secret, nor of the answer's body."""
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
        state=verdict.state,
    )
