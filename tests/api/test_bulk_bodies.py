"""Strict, and each complaint names its item."""

from typing import Any

import msgspec
import pytest

from api.bulk_bodies import decode_bulk
from api.errors import Invalid
from domain.bulk_transfers import ITEMS_MAX, Mode

WALLET = "019a87c1-5b20-7d18-b6c3-92f4a7e0d531"
ITEM: dict[str, Any] = {"source_wallet_id": WALLET, "destination_wallet_id": WALLET, "amount": 1, "currency": "RWF"}
GOOD = msgspec.json.encode(ITEM).decode()


def body(*items: object, **more: object) -> bytes:
    return msgspec.json.encode({"mode": "independent", "items": list(items)} | more)


def changed(**changes: object) -> dict[str, Any]:
    return ITEM | changes


def written(item: str) -> bytes:
    """Return a body whose third item is written as it stands here."""
    return f'{{"mode": "independent", "items": [{GOOD}, {GOOD}, {item}]}}'.encode()


@pytest.mark.parametrize("item", [ITEM, changed(description='say "this": that', metadata={'a":': "b", "c": ""})])
def test_what_is_right_is_decoded(item: dict[str, Any]) -> None:
    found = decode_bulk(body(item, ITEM, callback_url=None))
    assert (found.mode, len(found.items), found.items[0].description) == (Mode.INDEPENDENT, 2, item.get("description"))


WRONG = [
    (body(ITEM, ITEM, changed(amount="5")), "items[2].amount", "Expected int"),
    (body(ITEM, changed(amount=1.0)), "items[1].amount", "Expected int"),
    (body(changed(amount=0), changed(amount=True)), "items[0].amount", "Expected int >= 1"),
    (body(ITEM, changed(currency="XXX")), "items[1].currency", "ISO 4217"),
    (body(ITEM, changed(destination_number="1")), "items[1].destination_wallet_id", "either"),
    (body(ITEM, changed(destination_wallet_id=None)), "items[1].destination_wallet_id", "either"),
    (body(ITEM, changed(callback_url="https://x.example")), "items[1].callback_url", "unknown field"),
    (body(ITEM, {"amount": 1}), "items[1].source_wallet_id", "required"),
    (body(ITEM, 7), "items[1]", "Expected object"),
    (body(ITEM, changed(metadata={"k": 1})), "items[1].metadata", "Expected str"),
    (body(ITEM, changed(description="\0")), "items[1].description", "U+0000"),
    (body(ITEM, changed(metadata={"k": "\0"})), "items[1].metadata.k", "U+0000"),
    (written(GOOD.replace("{", '{"amount" : 2, ')), "items[2].amount", "more than once"),
    (written(GOOD[:-1] + ', "metadata": {"k": "v", "k": "w"}}'), "items[2].metadata.k", "more than once"),
    (written(GOOD.replace('"RWF"', '"\\ud800"')), "items[2].currency", "Unicode"),
    (written(GOOD.replace(":1,", ":NaN,")), "items[2].amount", "a number that JSON knows"),
    (body(), "items", "length >= 1"),
    (body(*[ITEM] * (ITEMS_MAX + 1)), "items", "length <= 1000"),
    (body(ITEM, mode="some"), "mode", "Invalid enum value"),
    (body(ITEM, more=1), "more", "unknown field"),
    (b'{"mode": "independent", "mode": "independent", "items": [' + GOOD.encode() + b"]}", "mode", "more than once"),
    (b'{"items": {}}', "items", "Expected array"),
    (b'{"mode": "independent", "items": "abc"}', "items", "Expected array"),
    (b'{"mode": "independent", "items": {"a": 1}}', "items", "Expected array"),
    (b"[]", "body", "Expected object"),
    (b'{"mode"', "body", "not valid JSON"),
]


@pytest.mark.parametrize(("given", "field", "message"), WRONG)
def test_what_is_wrong_names_its_item_and_the_rule(given: bytes, field: str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode_bulk(given)
    [found] = caught.value.errors
    assert found.field == field
    assert message in found.message
