"""A client that costs as little as possible: one connection, one request at a time, the standard library's HTTP."""

import http.client
import time
import uuid
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from bench.bank import CURRENCY, Account

TIMEOUT_SECONDS = 40


class Answer(msgspec.Struct, frozen=True):
    """`seconds` from the first byte sent to the last byte received."""

    seconds: float
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Client:
    def __init__(self, url: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._connection.close()

    def get(self, path: str) -> Answer:
        return self._send("GET", path, b"", {})

    def post(self, path: str, body: object, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._send("POST", path, msgspec.json.encode(body), named)

    def transfer(self, source: Account, destination: str, **headers: str) -> Answer:
        """Post a transfer of one minor unit with a key of its own."""
        body = {
            "source_wallet_id": source.wallet_id,
            "destination_wallet_id": destination,
            "amount": 1,
            "currency": CURRENCY,
        }
        return self.post("/v1/transfers", body, Idempotency_Key=str(uuid.uuid4()), **headers)

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        began = time.perf_counter()
        self._connection.request(method, path, body or None, self._headers | headers)
        response = self._connection.getresponse()
        content = response.read()
        seconds = time.perf_counter() - began
        if response.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {response.status} {content.decode(errors='replace')}")
        return Answer(seconds, content)
