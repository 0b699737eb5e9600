"""What the API refuses to read, and that a refusal leaves nothing behind."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from api.bodies import is_plain
from tests.api.clients import Api, Customer, deposit, fields, problem, registration, transfer

Valid = Callable[[str], dict[str, Any]]

ROUTES = ("/v1/deposits", "/v1/withdrawals", "/v1/transfers")
BODY_BYTES_MAX = 64 * 1024

# The text of a JSON value that is no amount, whatever a lax parser would make of it.
NO_AMOUNTS = {
    "a string": b'"5"',
    "a float without a fraction": b"5.0",
    "a float": b"5.5",
    "a bool": b"true",
    "false": b"false",
    "negative": b"-300",
    "zero": b"0",
    "minus zero": b"-0",
    "minus zero point zero": b"-0.0",
    "an exponent": b"1e3",
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "minus Infinity": b"-Infinity",
    "two to the 63rd": b"9223372036854775808",
    "two to the 64th": b"18446744073709551616",
    "one more than the most": b"1000000000000001",
    "beyond any float": b"1e400",
    "five thousand digits": b"1" * 5_000,
    "null": b"null",
    "a list": b"[5]",
    "an object": b'{"minor": 5}',
    "an empty string": b'""',
    "given twice": b'5, "amount": 5',
}

NO_CURRENCIES = {
    "lower case": b'"rwf"',
    "unknown": b'"ABC"',
    "no money": b'"XAU"',
    "two letters": b'"RW"',
    "four letters": b'"RWFR"',
    "a number": b"646",
    "null": b"null",
    "empty": b'""',
    "with a blank": b'"RWF "',
    "given twice": b'"RWF", "currency": "USD"',
}

# The text of a JSON value that is no description.
NO_TEXTS = {
    "an escaped NUL": rb'"a\u0000b"',
    "a lone high surrogate": rb'"\ud800"',
    "a lone low surrogate": rb'"\udc00"',
    "surrogates in the wrong order": rb'"\udc00\ud800"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "a byte that is no UTF-8": b'"\xff"',
    "an overlong form": b'"\xc0\xaf"',
    "too long": b'"' + b"x" * 256 + b'"',
    "a number": b"5",
    "a list": b'["a"]',
}

NO_JSON = {
    "nothing": b"",
    "blanks": b"   ",
    "a list": b"[]",
    "a list of bodies": b"[{}]",
    "a string": b'"body"',
    "null": b"null",
    "a bare NUL": b'{"a\x00b": 5}',
    "a bare line feed in a string": b'{"a\nb": 5}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"amount": 5}'.encode("utf-16"),
    "a comma too many": b"{,}",
    "single quotes": b"{'amount': 5}",
    "a comment": b'{/* five */ "amount": 5}',
    "half a body": b"{",
    "a deep list": b"[" * 60_000,
    "a form": b"amount=5&currency=RWF",
}


def raw(body: dict[str, Any], **replaced: bytes) -> bytes:
    """Return the body as JSON with these members replaced or added, as they are."""
    members = {name: msgspec.json.encode(value) for name, value in body.items()} | replaced
    return b"{" + b", ".join(b'"%s": %s' % (name.encode(), value) for name, value in members.items()) + b"}"


@pytest.fixture(scope="module")
def valid(ann: Customer, bob: Customer) -> Valid:
    """Make a body that the route of this path accepts."""

    def make(path: str) -> dict[str, Any]:
        return transfer(ann.wallet_id, bob.wallet_id) if path == "/v1/transfers" else deposit(ann.wallet_id)

    return make


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("amount", NO_AMOUNTS.values(), ids=NO_AMOUNTS.keys())
def test_an_amount_is_an_integer_of_minor_units_and_nothing_else(
    operator: Api, valid: Valid, path: str, amount: bytes
) -> None:
    response = operator.post(path, raw(valid(path), amount=amount))

    assert fields(response) == ["amount"]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("currency", NO_CURRENCIES.values(), ids=NO_CURRENCIES.keys())
def test_a_currency_is_a_code_of_iso_4217(operator: Api, valid: Valid, path: str, currency: bytes) -> None:
    response = operator.post(path, raw(valid(path), currency=currency))

    assert fields(response) == ["currency"]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("description", NO_TEXTS.values(), ids=NO_TEXTS.keys())
def test_a_description_is_a_short_unicode_text(operator: Api, valid: Valid, path: str, description: bytes) -> None:
    response = operator.post(path, raw(valid(path), description=description))

    assert fields(response) == ["description"]


@pytest.mark.parametrize("path", [*ROUTES, "/v1/customers", "/v1/wallets", "/v1/auth/login", "/v1/webhook-endpoints"])
@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_is_no_json_object_is_refused(operator: Api, path: str, body: bytes) -> None:
    response = operator.post(path, body)

    assert fields(response) == ["body"]


@pytest.mark.parametrize("path", ROUTES)
def test_what_follows_the_object_is_refused(operator: Api, valid: Valid, path: str) -> None:
    response = operator.post(path, raw(valid(path)) + b" {}")

    assert fields(response) == ["body"]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("name", ["fee", "Amount", "amount_minor", "id", "state", "customer_id", "__proto__"])
def test_unknown_fields_are_refused_by_name(operator: Api, valid: Valid, path: str, name: str) -> None:
    response = operator.post(path, valid(path) | {name: 1})

    assert fields(response) == [name]


@pytest.mark.parametrize("path", ROUTES)
def test_a_missing_field_is_named(operator: Api, valid: Valid, path: str) -> None:
    for name in ("amount", "currency"):
        body = valid(path)
        del body[name]

        assert fields(operator.post(path, body)) == [name]


@pytest.mark.parametrize("path", ROUTES)
def test_a_body_nested_beyond_reason_is_refused(operator: Api, valid: Valid, path: str) -> None:
    deep = b'{"a":' * 5_000 + b"1" + b"}" * 5_000

    response = operator.post(path, raw(valid(path), deep=deep))

    assert fields(response) == ["deep"]


def test_a_body_that_is_deep_and_broken_is_refused(operator: Api, ann: Customer) -> None:
    response = operator.post("/v1/deposits", raw(deposit(ann.wallet_id), amount=b"NaN", deep=b"[" * 50_000))

    assert fields(response) == ["body"]


@pytest.mark.parametrize(
    "path",
    [*ROUTES, "/v1/customers", "/v1/wallets", "/v1/auth/login", "/v1/auth/refresh", "/v1/webhook-endpoints"],
)
def test_a_body_above_64_kilobytes_is_too_large(operator: Api, path: str) -> None:
    problem(operator.post(path, b" " * (BODY_BYTES_MAX + 1)), 413, "too_large")


def test_a_body_of_64_kilobytes_is_read(operator: Api, ann: Customer) -> None:
    body = raw(deposit(ann.wallet_id))

    assert operator.post("/v1/deposits", body + b" " * (BODY_BYTES_MAX - len(body))).status_code == 202


def test_a_large_body_of_unsaid_length_is_too_large(operator: Api) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
    chunks = (b" " * 1_024 for _ in range(100))

    problem(operator.send("POST", "/v1/deposits", content=chunks, headers=headers), 413, "too_large")


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/xml",
        "application/x-msgpack",
    ],
)
@pytest.mark.parametrize("path", ROUTES)
def test_a_body_of_another_type_is_unsupported(operator: Api, valid: Valid, path: str, content_type: str) -> None:
    response = operator.post(path, valid(path), headers={"Content-Type": content_type})

    problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_is_read_however_its_type_is_spelled(operator: Api, ann: Customer, content_type: str) -> None:
    response = operator.post("/v1/deposits", deposit(ann.wallet_id), headers={"Content-Type": content_type})

    assert response.status_code == 202


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ([], "metadata"),
        ("note", "metadata"),
        ({str(number): "" for number in range(51)}, "metadata"),
        ({"": "no name"}, "metadata"),
        ({"k" * 41: "long name"}, "metadata"),
        ({"note": "v" * 501}, "metadata"),
        ({"note": 5}, "metadata"),
        ({"note": None}, "metadata"),
        ({"note": {"deep": "er"}}, "metadata"),
        ({"note": "a\0b"}, "metadata.note"),
        ({"no\0te": "a"}, "metadata"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_metadata_is_at_most_fifty_short_texts(operator: Api, valid: Valid, metadata: object, field: str) -> None:
    response = operator.post("/v1/transfers", valid("/v1/transfers") | {"metadata": metadata})

    assert fields(response) == [field]


def test_metadata_with_a_name_given_twice_is_refused(operator: Api, ann: Customer, bob: Customer) -> None:
    body = raw(transfer(ann.wallet_id, bob.wallet_id), metadata=b'{"note": "a", "note": "b"}')

    assert fields(operator.post("/v1/transfers", body)) == ["metadata.note"]


def test_the_longest_texts_are_accepted_and_kept(operator: Api, ann: Customer, bob: Customer) -> None:
    metadata = {f"{number:040}": "v" * 500 for number in range(50)}
    said = {"description": r"\u0000 is five characters and a digit, " + "ß" * 200, "metadata": metadata}

    result = operator.succeeded("/v1/transfers", transfer(ann.wallet_id, bob.wallet_id, **said))

    transaction = operator.get(f"/v1/transactions/{result['transaction_id']}").json()
    assert {name: transaction[name] for name in said} == said


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"destination_wallet_id": None}, "destination_wallet_id"),
        ({"destination_number": "381966011308"}, "destination_wallet_id"),
        ({"destination_wallet_id": None, "destination_number": "381966011309"}, "destination_number"),
        ({"destination_wallet_id": None, "destination_number": "318966011308"}, "destination_number"),
        ({"destination_wallet_id": None, "destination_number": "38196601130"}, "destination_number"),
        ({"destination_wallet_id": None, "destination_number": "3819660113080"}, "destination_number"),
        ({"destination_wallet_id": None, "destination_number": "٣٨١٩٦٦٠١١٣٠٨"}, "destination_number"),
        ({"destination_wallet_id": None, "destination_number": 381966011308}, "destination_number"),
        ({"destination_wallet_id": "wallet"}, "destination_wallet_id"),
        ({"source_wallet_id": "wallet"}, "source_wallet_id"),
        ({"source_wallet_id": 5}, "source_wallet_id"),
        ({"source_wallet_id": None}, "source_wallet_id"),
    ],
)
def test_a_transfer_names_its_two_wallets(operator: Api, valid: Valid, changes: dict[str, Any], field: str) -> None:
    response = operator.post("/v1/transfers", valid("/v1/transfers") | changes)

    assert fields(response) == [field]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"full_name": ""}, "full_name"),
        ({"full_name": " \t "}, "full_name"),
        ({"full_name": "x" * 201}, "full_name"),
        ({"full_name": None}, "full_name"),
        ({"email": "nobody"}, "email"),
        ({"email": "a@b"}, "email"),
        ({"email": "a b@example.com"}, "email"),
        ({"email": f"{'x' * 250}@example.com"}, "email"),
        ({"national_id": "123"}, "national_id"),
        ({"national_id": "!!!!!"}, "national_id"),
        ({"national_id": 1199880012345678}, "national_id"),
        ({"password": "seven77"}, "password"),
        ({"password": "x" * 1_025}, "password"),
        ({"password": 12345678}, "password"),
        ({"phone": "call me"}, "phone"),
        ({"phone": "+250 1"}, "phone"),
        ({"gender": "X"}, "gender"),
        ({"gender": "f"}, "gender"),
        ({"wallet": {}}, "wallet.currency"),
        ({"wallet": {"currency": "rwf"}}, "wallet.currency"),
        ({"wallet": {"currency": "RWF", "type": "joint"}}, "wallet.type"),
        ({"wallet": {"currency": "RWF", "balance": 5}}, "wallet.balance"),
        ({"wallet": "RWF"}, "wallet"),
        ({"is_admin": True}, "is_admin"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_registration_keeps_each_fields_rule(anyone: Api, changes: dict[str, Any], field: str) -> None:
    assert fields(anyone.post("/v1/customers", registration(**changes))) == [field]


@pytest.mark.parametrize("path", ROUTES)
def test_a_refused_body_does_not_consume_its_key(operator: Api, valid: Valid, path: str) -> None:
    key, body = str(uuid4()), valid(path)

    refused = operator.post(path, body | {"amount": "5"}, key=key)
    accepted = operator.post(path, body, key=key)

    assert (refused.status_code, accepted.status_code) == (400, 202)
    assert "idempotency-hit" not in accepted.headers


def test_a_refusal_never_repeats_a_password(anyone: Api) -> None:
    response = anyone.post("/v1/customers", registration(password="hunter2"))

    assert fields(response) == ["password"]
    assert "hunter2" not in response.text


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (b"{}", True),
        (b'{"a": 1, "b": {"c": [{"d": 2}, {"d": 3}]}}', True),
        (b'{"a": "b: c"}', True),
        (b'{"a:b": 1}', True),
        (rb'{"a": "\"b\": c"}', True),
        (rb'{"a": "\\", "b": "\\"}', True),
        (rb'{"a": "\\u0000"}', True),  # A backslash, and no escape.
        (b'{"a": 1, "a": 1}', False),
        (b'{"a": {"b": 1, "b": 1}}', False),
        (b'[{"a": 1}, {"a": 1, "a": 1}]', False),
        (b'{"a:": 1, "a:": 1}', False),
        (b'{"a": ":", "b": 1, "b": 1}', False),
        (rb'{"a": 1, "\u0061": 1}', False),
        (rb'{"a": "\u0000"}', False),
        (rb'{"\u0000": 1}', False),
    ],
)
def test_a_body_is_plain_if_no_name_comes_twice_and_no_text_has_a_nul(*, body: bytes, plain: bool) -> None:
    assert is_plain(body) == plain
