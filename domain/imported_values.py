"""Values of imported rows. A row is parsed into what it says or into every rule that it breaks, not only the first."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from domain.errors import InvalidField
from domain.imports import Problem

T = TypeVar("T")

LEGACY_ID_MAX = 64  # Numbers, UUIDs and account codes fit; it is a key of an index.
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # Where UUIDv7's clock begins (RFC 9562, section 5.7).


class Fields:
    """The values of one row while they are parsed, and what was wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def parse(self, rule: Callable[..., T], text: str, *arguments: Any) -> T | None:
        """Return what `rule` makes of the text; None, and a problem, when it refuses."""
        try:
            return rule(text, *arguments)
        except InvalidField as error:
            self.problems.append(Problem(error.field, error.message))
            return None


def legacy_id(text: str, field: str = "legacy_id") -> str:
    """Return the id that the previous platform gave.

    Raises:
        InvalidField: it is empty, too long or has control characters.

    """
    plain = text.strip()
    if not plain or len(plain) > LEGACY_ID_MAX or CONTROL.search(plain):
        raise InvalidField(field, f"has 1 to {LEGACY_ID_MAX} characters, and no control characters")
    return plain


def moment(text: str, now: datetime) -> datetime:
    """Return when the previous platform made it.

    Raises:
        InvalidField: it is no time with a zone (RFC 3339), or one that cannot be.

    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidField("created_at", "is a time with its zone (RFC 3339), such as 2019-03-04T05:06:07Z")
    if not EPOCH <= at <= now:
        raise InvalidField("created_at", "is not before 1970 and not in the future")
    return at.astimezone(UTC)  # Python knows zones of nearly a day; PostgreSQL, those of less than 16 hours.


def one_of(text: str, field: str, known: Sequence[str]) -> str:
    """Return the word.

    Raises:
        InvalidField: it is another one.

    """
    if text not in known:
        raise InvalidField(field, f"is one of {', '.join(known)}")
    return text
