"""How long what is kept for a while is kept, in months of which each is forgotten as a whole."""

from collections.abc import Iterator
from datetime import datetime

MONTHS_AHEAD = 2  # Housekeeping may be away for two months before rows go where they are not dropped from.
MONTH_DAYS_MAX = 31
# A delivery goes with its month, up to 31 days later than said; the event that it tells of must not go before.
EVENTS_OUTLIVE_DELIVERIES_DAYS = 2 * MONTH_DAYS_MAX


def months_ahead(now: datetime) -> Iterator[datetime]:
    """Yield a moment of this month and of each of the next ones for which there must be room."""
    for ahead in range(MONTHS_AHEAD + 1):
        years, month = divmod(now.month - 1 + ahead, 12)
        yield now.replace(year=now.year + years, month=month + 1, day=1)
