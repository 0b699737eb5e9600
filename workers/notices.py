"""Notices of finished jobs: who waits for one hears of it at once. Losing a notice costs a waiter half a second."""

from collections.abc import Sequence
from functools import lru_cache
from uuid import UUID

import msgspec
import redis
import structlog

import logs
import redis_clients
from domain.jobs import FINISHED_CHANNEL
from settings import settings

TIMEOUT_SECONDS = 0.5  # Redis answers in well under a millisecond, or is in trouble.

log = structlog.get_logger()


def publish(job_ids: Sequence[UUID]) -> None:
    """Tell every API process which jobs ended. Never raises: the rows are committed, waiters can read them."""
    if not job_ids:
        return
    try:
        _client().publish(FINISHED_CHANNEL, msgspec.json.encode(job_ids))
    except Exception as error:  # Whatever it was, nothing of a settled batch may fail for it.
        surprise = logs.surprise(error, redis_clients.ERRORS)
        log.warning("notice not published", jobs=len(job_ids), error=str(error), exc_info=surprise)


@lru_cache(maxsize=1)
def _client() -> redis.Redis:
    return redis_clients.connect(
        settings().redis_url, timeout_seconds=TIMEOUT_SECONDS, health_check_interval=10, retry=None
    )
