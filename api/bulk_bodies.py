"""Bodies of a thousand items: as strict as others, at a tenth of the price, and what is wrong names its item."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from api.bodies import StrictBody, decode, inspect, is_plain, require_json
from api.errors import Invalid
from domain.bulk_transfers import ITEMS_MAX, CreateBulkTransfer
from domain.transactions import TransferItem

BODY_MAX_BYTES = 1024 * 1024  # A thousand items of all fields and a long description each have 700 kB.


class BulkBody(StrictBody):
    def decode_bytes(self, value: bytes) -> Any:
        require_json(self.asgi_connection.headers.get("content-type", ""))
        return decode_bulk(value)


def decode_bulk(body: bytes) -> CreateBulkTransfer:
    """Return the body.

    Raises:
        Invalid: as `decode` does; the field begins with its item's index, such as `items[3].amount`.

    """
    try:
        result = _whole.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        _name_item(body)
        decode(body, CreateBulkTransfer)
        raise
    if not is_plain(body):
        _name_item(body)
        inspect(body)
    return result


def _name_item(body: bytes) -> None:
    """Look at the items one by one, and refuse the first that is wrong by its index."""
    for index, item in enumerate(_items(body)):
        with _within(f"items[{index}]"):
            decode(item, TransferItem)


def _items(body: bytes) -> list[bytes]:
    """Return the first items, apart, also of a body with NaN or text that is no Unicode; none if that is impossible.

    More than there may be are refused for their number, so that nobody makes the API look at a million of them.
    """
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [bytes(item) for item in _apart.decode(body).items[:ITEMS_MAX]]
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        items = json.loads(body.decode("utf-8", "surrogateescape"))["items"]
        return [json.dumps(item).encode() for item in items[:ITEMS_MAX]] if isinstance(items, list) else []
    return []


@contextlib.contextmanager
def _within(place: str) -> Iterator[None]:
    try:
        yield
    except Invalid as error:
        [found] = error.errors
        raise Invalid(place if found.field == "body" else f"{place}.{found.field}", found.message) from error


class _Apart(msgspec.Struct):
    """A body whose items are not looked at yet."""

    items: list[msgspec.Raw]


_whole = msgspec.json.Decoder(CreateBulkTransfer)
_apart = msgspec.json.Decoder(_Apart)
