"""Pages by keyset: newest first, stable while rows arrive, as cheap at any depth."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from api.errors import Invalid

LIMIT_MAX = 200
LIMIT_DEFAULT = 50

T = TypeVar("T")
Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX, description="Items a page has at most.")]
Cursor = Annotated[str | None, QueryParameter(max_length=100, description="`next_cursor` of the page before.")]


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    items: list[T]
    next_cursor: str | None


def page(found: Sequence[T], limit: int, key: Callable[[T], UUID | int]) -> Page[T]:
    """Return the first `limit` of what was found; more than that means there is a next page."""
    items = list(found[:limit])
    more = len(found) > limit
    return Page(items=items, next_cursor=_encode(key(items[-1])) if more else None)


def before_id(cursor: str | None) -> UUID | None:
    """Return the id that the page comes after.

    Raises:
        Invalid: this API gave out no such cursor.

    """
    try:
        return None if cursor is None else UUID(_decode(cursor))
    except ValueError as error:
        raise _invalid() from error


def before_sequence(cursor: str | None) -> int | None:
    """Return the sequence number that the page comes after.

    Raises:
        Invalid: this API gave out no such cursor.

    """
    try:
        result = None if cursor is None else int(_decode(cursor))
    except ValueError as error:
        raise _invalid() from error
    if result is not None and not 0 < result < 2**63:
        raise _invalid()
    return result


def _encode(value: UUID | int) -> str:
    return base64.urlsafe_b64encode(str(value).encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, UnicodeError) as error:
        raise ValueError(cursor) from error


def _invalid() -> Invalid:
    return Invalid("cursor", "not a cursor of this list")
