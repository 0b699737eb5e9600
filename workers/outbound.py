"""Webhooks leave by here: one POST within a deadline, whatever the other side does.

No proxy, redirect or cookie, and nothing is sent twice: another attempt is the schedule's business.
Which addresses may be reached is judged by `workers.guard`, where the connection is made.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping
from contextlib import aclosing
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from urllib.parse import urlsplit

import httpcore2
import msgspec

from domain.addresses import parse_url
from domain.deliveries import EXCERPT_CHARACTERS, Answer
from domain.errors import InvalidField
from workers.guard import AddressRefused, Guard, NameNotResolved, Resolve, TlsFailed
from workers.kept import Kept

USER_AGENT = "Tekana-Webhooks/1"
BODY_BYTES_MAX = 64_000  # Of an answer: no error message is longer, and usual bodies end, so their connection is kept.
TARGETS_MAX = 2_000  # URLs that are not parsed anew for each post, which takes an eighth of its time: 2 MB.
RETRY_AFTER_CHARACTERS = 64  # A date has 29 (RFC 9110, section 5.6.7).
IDLE_MAX = 200  # Connections kept for the next post: files, too, which a shell has 1,024 of.
KEEPALIVE_SECONDS = 4.0  # Node, uvicorn and Apache hang up after 5 s; who posts at that moment loses the delivery.


class Failure(StrEnum):
    """Why there is no answer."""

    ADDRESS_REFUSED = "address_refused"  # The host is not public, or the URL no longer allowed. Nothing was sent.
    NAME_NOT_RESOLVED = "name_not_resolved"  # The DNS knows no address. Nothing was sent.
    CONNECTION_FAILED = "connection_failed"  # No address takes connections. Nothing was sent.
    TLS_FAILED = "tls_failed"  # No common version, or no valid certificate for this host.
    TIMED_OUT = "timed_out"  # No whole answer in time. The event may have arrived.
    CONNECTION_LOST = "connection_lost"  # It ended before the answer did. The event may have arrived.
    ANSWER_MALFORMED = "answer_malformed"  # Not HTTP/1.1, or headers above 100 kB. The event may have arrived.


FAILURES: dict[type[Exception], Failure] = {  # The first that fits: the last is an ancestor of others.
    InvalidField: Failure.ADDRESS_REFUSED,
    AddressRefused: Failure.ADDRESS_REFUSED,
    NameNotResolved: Failure.NAME_NOT_RESOLVED,
    TlsFailed: Failure.TLS_FAILED,
    ssl.SSLError: Failure.TLS_FAILED,  # After the handshake, such as an alert that asks for our certificate.
    TimeoutError: Failure.TIMED_OUT,
    httpcore2.TimeoutException: Failure.TIMED_OUT,
    httpcore2.ConnectError: Failure.CONNECTION_FAILED,
    httpcore2.NetworkError: Failure.CONNECTION_LOST,
    OSError: Failure.CONNECTION_LOST,
}


class Outbound:
    """Connections to the endpoints of webhooks. They belong to one event loop."""

    def __init__(
        self,
        *,
        timeout_seconds: float,
        connect_timeout_seconds: float,
        allow_loopback: bool,
        connections_max: int,
        resolve: Resolve | None = None,
        ssl_context: ssl.SSLContext | None = None,
        network: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        """Set the limits; `network` is what connects to judged addresses.

        `timeout_seconds` is for all of a post, `connect_timeout_seconds` for resolving and connecting, and once
        more for TLS. With `connections_max` posts under way others wait, and their time does not run yet.
        """
        self._timeout_seconds = timeout_seconds
        self._extensions = {"timeout": {"connect": connect_timeout_seconds}}
        self._allow_loopback = allow_loopback
        self._slots = asyncio.Semaphore(connections_max)
        self._guard = Guard(allow_loopback=allow_loopback, resolve=resolve, network=network)
        self._ssl_context = _verifying() if ssl_context is None else ssl_context
        self._kept = Kept(self._connection, idle_max=IDLE_MAX)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one POST; return its answer, or why there is none. The other side and the network raise nothing."""
        async with self._slots:
            started = time.monotonic()
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    answer = await self._exchange(url, headers, body)
            except Exception as error:  # noqa: BLE001 - what `_failure` does not know, it raises again
                answer = Answer(duration_ms=0, error=_failure(error).value)
            return msgspec.structs.replace(answer, duration_ms=round((time.monotonic() - started) * 1_000))

    async def close(self) -> None:
        await self._kept.close()
        self._guard.close()

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        target, host = _target(url, self._allow_loopback)
        sent = [("Host", host), ("User-Agent", USER_AGENT), *headers.items()]
        connection = await self._kept.take(target.origin)
        try:
            async with connection.stream(
                "POST", target, headers=sent, content=body, extensions=self._extensions
            ) as response:
                return _answer(response, await _read(response))
        finally:
            await self._kept.give(connection)

    def _connection(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        return httpcore2.AsyncHTTPConnection(
            origin,
            ssl_context=self._ssl_context,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=self._guard,
        )


def _failure(error: Exception) -> Failure:
    """Return what the other side or the network did; raise what is a mistake of ours."""
    if isinstance(error, httpcore2.RemoteProtocolError):  # The answer breaks off, or makes no sense: the text tells.
        is_cut = "disconnected" in str(error) or "closed connection" in str(error)
        return Failure.CONNECTION_LOST if is_cut else Failure.ANSWER_MALFORMED
    for kind, failure in FAILURES.items():
        if isinstance(error, kind):
            return failure
    raise error


@lru_cache(maxsize=TARGETS_MAX)
def _target(text: str, allow_loopback: bool) -> tuple[httpcore2.URL, str]:  # noqa: FBT001 - a key of the cache
    """Return the URL in its parts, and the Host header: httpcore's own parser loses `;parameters` and brackets.

    Raises:
        InvalidField: it is not allowed, or not any more.

    """
    url = parse_url(text, "url", allow_loopback=allow_loopback)
    parts = urlsplit(url)
    path_and_query = url.removeprefix(f"{parts.scheme}://{parts.netloc}")
    host = parts.hostname or ""
    return httpcore2.URL(scheme=parts.scheme, host=host, port=parts.port, target=path_and_query), parts.netloc


async def _read(response: httpcore2.Response) -> bytes:
    """Return the body, or how it begins: whoever stops reading closes the connection.

    Raises:
        httpcore2.RemoteProtocolError: the answer was there before the request was sent.

    """
    if not response.extensions["network_stream"].is_sent:
        raise httpcore2.RemoteProtocolError("an answer came before its request")
    body = bytearray()
    async with aclosing(response.aiter_stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) >= BODY_BYTES_MAX:
                break
    return bytes(body[:BODY_BYTES_MAX])


def _answer(response: httpcore2.Response, body: bytes) -> Answer:
    waits = [value for name, value in response.headers if name.lower() == b"retry-after"]
    return Answer(
        duration_ms=0,
        status=response.status,
        retry_after=_printable(waits[0].decode("latin-1"), RETRY_AFTER_CHARACTERS) if waits else None,
        excerpt=_printable(body.decode(errors="replace"), EXCERPT_CHARACTERS),
    )


def _printable(text: str, characters: int) -> str:
    """Return the first printable characters, for a log or a page: a space for each run of white space."""
    return "".join(islice(filter(str.isprintable, " ".join(text.split())), characters))


def _verifying() -> ssl.SSLContext:
    """Return a context that checks certificates by the system's authorities."""
    context = httpcore2.default_ssl_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996: older ones must not be used.
    return context
