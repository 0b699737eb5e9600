"""Retries of webhooks: what an answer means, and when the next attempt is due."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from domain.deliveries import Answer, DeliveryState

JITTER = 0.2  # An attempt comes up to a fifth later than planned: what failed together must not return together.
RETRY_AFTER_SECONDS_MAX = 86_400  # A receiver cannot put a message off for longer than our own longest wait.
ATTEMPTS_MAX = 20  # Each is kept in the delivery's row.
DELAY_SECONDS_MAX = 7 * 86_400  # Receivers are told no later than that after the attempt before.
GONE = 410  # The receiver wants no more (Standard Webhooks 1.0).
# The receiver, or what stands before it, has too much to do: nothing is sent to it until it said it may.
THROTTLING = frozenset({429, 502, 503, 504})


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer means for its delivery. Without a next attempt, `delay_seconds` is 0."""

    state: DeliveryState
    delay_seconds: float = 0.0
    pause_seconds: float = 0.0  # For how long the receiver wants nothing else either.
    is_gone: bool = False


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """The seconds to wait before each attempt: the first from the event on, the others after a failure."""

    delays: Sequence[int]

    def judge(self, answer: Answer, attempt: int, *, now: datetime, jitter: float) -> Verdict:
        """Decide after the `attempt`-th attempt (from 1 on); `jitter` is a random number from 0 to 1."""
        if answer.is_success:
            return Verdict(state=DeliveryState.SUCCEEDED)
        if answer.status == GONE:
            return Verdict(state=DeliveryState.FAILED, is_gone=True)
        asked = retry_after_seconds(answer.retry_after, now) if answer.status in THROTTLING else 0.0
        if attempt >= len(self.delays):
            return Verdict(state=DeliveryState.FAILED, pause_seconds=asked)
        planned = self.delays[attempt] * (1 + JITTER * jitter)
        return Verdict(state=DeliveryState.PENDING, delay_seconds=max(planned, asked), pause_seconds=asked)


def retry_after_seconds(header: str | None, now: datetime) -> float:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110, section 10.2.3); 0 if it is neither."""
    if header is None:
        return 0.0
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text.lstrip("0")[:9] or "0"), RETRY_AFTER_SECONDS_MAX))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # A year or a zone of many digits overflows.
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), RETRY_AFTER_SECONDS_MAX)


def parse_delays(text: str) -> list[int]:
    """Return the delays of a schedule such as `0,5,300`, in seconds.

    Raises:
        ValueError: it is empty, too long, or has something else than whole seconds of up to a week.

    """
    delays = [int(part) for part in text.split(",")]
    if len(delays) > ATTEMPTS_MAX or not all(0 <= delay <= DELAY_SECONDS_MAX for delay in delays):
        raise ValueError(f"up to {ATTEMPTS_MAX} waits of up to {DELAY_SECONDS_MAX} s")
    return delays
