"""The parts of docs/webhooks.md that follow from the code: an example, the types, the schedule, the limits.

Each stands between two comments. `make docs` writes them anew, and a test compares.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path

import msgspec

import api.story
from domain.deliveries import EXCERPT_CHARACTERS
from domain.events import MEANINGS, PATTERNS_MAX, EventType
from domain.replays import REPLAY_EVENTS_MAX
from domain.retries import RETRY_AFTER_SECONDS_MAX, parse_delays
from domain.signatures import TOLERANCE_SECONDS
from domain.webhooks import ENDPOINTS_MAX, OVERLAP_HOURS
from settings import Settings

PART = re.compile(r"<!-- generated: (?P<name>[a-z]+) -->\n.*?<!-- end -->\n", re.DOTALL)
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def rendered(page: str) -> str:
    """Return the page with its generated parts as they ought to be.

    Raises:
        ValueError: the page has other parts than there are.

    """
    names = [part["name"] for part in PART.finditer(page)]
    if sorted(names) != sorted(PARTS):
        raise ValueError(f"the page has the parts {names}; expected {list(PARTS)}")
    return PART.sub(_part, page)


def _part(found: re.Match[str]) -> str:
    lines = "\n".join(PARTS[found["name"]]())
    return f"<!-- generated: {found['name']} -->\n\n{lines}\n\n<!-- end -->\n"


def message() -> Iterator[str]:
    example = msgspec.json.encode(api.story.event(EventType.TRANSFER_SUCCEEDED))
    yield "```json"
    yield msgspec.json.format(example, indent=2).decode()
    yield "```"


def types() -> Iterator[str]:
    yield from _table("type", "what happened")
    yield from (_row(f"`{one}`", meaning) for one, meaning in MEANINGS.items())


def retries() -> Iterator[str]:
    """Yield the schedule of the defaults, without its jitter."""
    delays = parse_delays(Settings().webhook_retry_seconds)
    yield from _table("attempt", "waits", "after the event")
    for number, (delay, elapsed) in enumerate(zip(delays, accumulate(delays), strict=True), start=1):
        yield _row(str(number), duration(delay), duration(elapsed))


def limits() -> Iterator[str]:
    yield from _table("limit", "")
    yield from (_row(name, value) for name, value in _limits().items())


def _limits() -> Mapping[str, str]:
    config = Settings()
    return {
        "endpoints of an API key": f"{ENDPOINTS_MAX}",
        "`event_types` of an endpoint": f"{PATTERNS_MAX}",
        "an attempt, from connecting to the end of the answer": duration(config.webhook_timeout_seconds),
        "connecting, within that": duration(config.webhook_connect_timeout_seconds),
        "characters of an answer that the log keeps": f"{EXCERPT_CHARACTERS}",
        "the longest `Retry-After` that is obeyed": duration(RETRY_AFTER_SECONDS_MAX),
        "without one success until an endpoint is switched off": duration(config.webhook_disable_after_seconds),
        "both secrets sign after a rotation": duration(OVERLAP_HOURS * 3_600),
        "a message's age that a receiver should accept": duration(TOLERANCE_SECONDS),
        "deliveries stay in the log, at least": duration(config.webhook_delivery_days * 86_400),
        "events stay in the feed, and can be replayed, at least": duration(config.event_days * 86_400),
        "events of one replay": f"{REPLAY_EVENTS_MAX:,}",
    }


def duration(seconds: int) -> str:
    """Return seconds as people say them, such as `2 h 35 min 5 s`; 24 hours are `24 h`."""
    if seconds == 86_400:
        return "24 h"
    parts = []
    for unit, size in UNITS:
        count, seconds = divmod(seconds, size)
        parts += [f"{count} {unit}"] if count else []
    return " ".join(parts) or "0 s"


def _table(*titles: str) -> Iterable[str]:
    return _row(*titles), f"|{'---|' * len(titles)}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


PARTS: Mapping[str, Callable[[], Iterator[str]]] = {
    "types": types,
    "message": message,
    "retries": retries,
    "limits": limits,
}


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(rendered(file.read_text(encoding="utf-8")), encoding="utf-8")
