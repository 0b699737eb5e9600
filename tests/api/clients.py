"""Callers of the API under test: anyone, customers and API keys, each with a client of their own."""

import itertools
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Self
from uuid import UUID, uuid4

import httpx2
import msgspec

FINISH_SECONDS = 15  # A job takes 20 ms; a worker that is just being started, a few seconds.
ANSWER_SECONDS_MAX = 40.0  # Above the longest `Prefer: wait`.
PASSWORD = "correct horse"
PROBLEM = "application/problem+json"

_people = itertools.count(1)
_run = secrets.randbelow(10**8)  # Tests may share a database with earlier ones.


def connect(url: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, timeout=ANSWER_SECONDS_MAX, trust_env=False)


class Api:
    """One caller. `post` brings an idempotency key of its own unless the test gives one."""

    def __init__(self, http: httpx2.Client, token: str | None = None) -> None:
        self.http = http
        self.token = token or ""
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def holding(self, token: str) -> Self:
        """Return a caller that holds this token instead."""
        return type(self)(self.http, token)

    def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = self.headers | options.pop("headers", {})
        return self.http.request(method, path, headers=headers, **options)

    def get(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str | bytes] | None = None,
        **more: Any,
    ) -> httpx2.Response:
        """Read, filtered by `query` and, where Python has no word against their names, by keywords."""
        return self.send("GET", path, params={**(query or {}), **more} or None, headers=headers or {})

    def post(
        self, path: str, body: Any = None, *, key: str | None = None, headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        """Send a body: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        sent = {"Content-Type": "application/json", "Idempotency-Key": key or str(uuid4())} | (headers or {})
        return self.send("POST", path, content=content, headers=sent)

    def patch(self, path: str, body: Any, *, headers: dict[str, str] | None = None) -> httpx2.Response:
        """Change: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self.send("PATCH", path, content=content, headers={"Content-Type": "application/json"} | (headers or {}))

    def delete(self, path: str) -> httpx2.Response:
        return self.send("DELETE", path)

    def finished(self, path: str, body: Any, *, key: str | None = None) -> dict[str, Any]:
        """Submit, wait, and return the job as it ended."""
        response = self.post(path, body, key=key, headers={"Prefer": f"wait={FINISH_SECONDS}"})
        assert response.status_code == 200, response.text
        job: dict[str, Any] = response.json()
        return job

    def succeeded(self, path: str, body: Any) -> dict[str, Any]:
        """Submit, wait, and return the result."""
        job = self.finished(path, body)
        assert job["state"] == "succeeded", job
        result: dict[str, Any] = job["result"]
        return result

    def pages(self, path: str, limit: int) -> list[list[dict[str, Any]]]:
        """Read a list to its end."""
        return list(self.each_page(path, limit))

    def each_page(self, path: str, limit: int) -> Iterator[list[dict[str, Any]]]:
        cursor: dict[str, str] | None = {}
        while cursor is not None:
            page = self.get(path, cursor, limit=limit).json()
            yield page["items"]
            cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A registered customer with one wallet, who is logged in."""

    api: Api
    id: str
    registration: dict[str, Any]
    registration_job_id: str
    wallet_id: str
    wallet_number: str
    access_token: str
    refresh_token: str


class Integrator(msgspec.Struct, frozen=True, kw_only=True):
    """A program with an API key, and the secret that its callbacks are signed with."""

    api: Api
    id: str
    callback_secret: str


def registration(**changes: Any) -> dict[str, Any]:
    """Return a body that registers somebody new."""
    number = next(_people)
    return {
        "full_name": f"Customer {number}",
        "email": f"customer{number}.{_run}@example.com",
        "national_id": f"1{_run:08}{number:07}",
        "password": PASSWORD,
        "phone": "+250 788 123 456",
        "gender": "F",
        "wallet": {"currency": "RWF"},
    } | changes


def register(anyone: Api, **changes: Any) -> Customer:
    body = registration(**changes)
    job = anyone.finished("/v1/customers", body)
    assert job["state"] == "succeeded", job
    tokens = log_in(anyone, body["email"], body["password"])
    return Customer(
        api=anyone.holding(tokens["access_token"]),
        id=job["result"]["customer_id"],
        registration=body,
        registration_job_id=job["id"],
        wallet_id=job["result"].get("wallet_id", ""),
        wallet_number=job["result"].get("wallet_number", ""),
        access_token=tokens["access_token"],
        refresh_token=tokens["refresh_token"],
    )


def log_in(anyone: Api, email: str, password: str = PASSWORD) -> dict[str, Any]:
    response = anyone.post("/v1/auth/login", {"email": email, "password": password})
    assert response.status_code == 200, response.text
    tokens: dict[str, Any] = response.json()
    return tokens


def deposit(wallet_id: str, amount: int = 1, /, **changes: Any) -> dict[str, Any]:
    return {"wallet_id": wallet_id, "amount": amount, "currency": "RWF"} | changes


def transfer(source: str, destination: str, amount: int = 1, /, **changes: Any) -> dict[str, Any]:
    body = {"source_wallet_id": source, "destination_wallet_id": destination, "amount": amount, "currency": "RWF"}
    return body | changes


def problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Return the body of an error after checking that it is a complete problem document (RFC 9457)."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    body: dict[str, Any] = response.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body.keys() - {"errors"} == {"type", "title", "status", "detail", "instance", "code", "request_id"}
    assert body["request_id"] == response.headers["x-request-id"]
    return body


def fields(response: httpx2.Response) -> list[str]:
    """Return the fields that a 400 names."""
    return [error["field"] for error in problem(response, 400, "invalid_request")["errors"]]


def bare(response: httpx2.Response) -> dict[str, Any]:
    """Return an error without what differs from request to request."""
    return {name: value for name, value in response.json().items() if name not in {"request_id", "instance"}}


def is_uuid7(text: str) -> bool:
    return str(UUID(text)) == text and UUID(text).version == 7
