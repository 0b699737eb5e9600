"""Secrets that a story plants, where each may be found afterwards, and how it is looked for."""

import base64
import itertools
import secrets
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote

NUMBER = f"{secrets.randbelow(10**7):07}"
NOWHERE: frozenset[str] = frozenset()


class Plant(NamedTuple):
    text: str
    places: frozenset[str]  # Columns of tables that must hold it in clear; all other places must not.


def _word(name: str) -> str:
    return f"planted-{name}-{secrets.token_hex(6)}"


def _plant(name: str, *places: str) -> Plant:
    return Plant(_word(name), frozenset(places))


# What is kept in clear, and why: an e-mail to log in by, a name and what a movement says of itself to show them, an
# idempotency key to compare it, addresses to call them, and how a receiver answered to tell its owner.
PLANTS: Mapping[str, Plant] = {
    "password": _plant("password"),
    "wrong password": _plant("wrong-password"),
    "full name": _plant("name", "customers.full_name"),
    "e-mail": Plant(f"{_word('mail')}@example.com", frozenset({"customers.email"})),
    "e-mail of nobody": Plant(f"{_word('nobody')}@example.com", NOWHERE),
    "national id": Plant(f"119908{NUMBER}123", NOWHERE),
    "phone": Plant(f"78{NUMBER}", NOWHERE),
    "idempotency key": _plant("key", "jobs.idempotency_key"),
    "description": _plant("description", "jobs.payload", "transactions.description"),
    "metadata": _plant("metadata", "jobs.payload", "transactions.metadata"),
    "callback": _plant("callback", "jobs.callback_url", "events.callback_url", "webhook_deliveries.callback_url"),
    "endpoint": _plant("endpoint", "webhook_endpoints.url", "events.data"),
    "answer of a receiver": _plant("answer", "webhook_deliveries.attempts"),
    "body that is no JSON": _plant("not-json"),
    "unknown field": _plant("field"),
    "value of the wrong type": _plant("type"),
    "body of a route that is not there": _plant("body"),
    "path": _plant("path"),
    "query": _plant("query"),
    "header": _plant("header"),
    "cookie": _plant("cookie"),
    "token that is none": _plant("token"),
    "row that the API's role may not write": _plant("refused"),
    "row that fails": _plant("failing", "jobs.payload"),
    "row that is not unique": _plant("unique", "jobs.payload", "transactions.external_reference"),
}


def word(name: str) -> str:
    return PLANTS[name].text


def is_in(secret: str, content: bytes) -> bool:
    return any(spelling in content for spelling in spellings(secret))


def spellings(secret: str) -> Iterator[bytes]:
    """Yield the secret as it is, and within what was encoded: a URL, a bytea, and base64 at each of its offsets."""
    plain = secret.encode()
    yield from (plain, quote(secret, safe="").encode(), plain.hex().encode())
    for before, after in itertools.product(range(3), range(3)):
        encoded = base64.b64encode(b"\0" * before + plain + b"\0" * after)
        first, last = (0, 2, 3)[before], (None, -4, -4)[after]  # Characters that its neighbours have a part in.
        yield encoded[first:last]
