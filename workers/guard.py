"""The gate of our network: connections to judged addresses, and to no other.

A host is resolved once, all its addresses are judged, and the judged address, not the name, is what we connect to:
a second answer of the DNS cannot lead elsewhere ("DNS rebinding"). Certificates are still checked for the name.

    Exception
    └── NotConnected        nothing was sent
        ├── AddressRefused
        ├── NameNotResolved
        └── TlsFailed
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import httpcore2

from domain.addresses import refusal

ADDRESSES_TRIED_MAX = 4  # All are judged. When four of a host's addresses do not answer, it is down.
# A lookup at a silent DNS server keeps a thread for longer than its post waits (with RES_OPTIONS of local/processes.py
# for 4 s a server), so that there are as many as posts under way: 500 sleeping threads cost 10 MB.
RESOLVER_THREADS = 500

Resolve = Callable[[str, int], Awaitable[list[str]]]


class NotConnected(Exception):
    """There is no connection; nothing was sent."""


class AddressRefused(NotConnected):
    """One of the host's addresses is not public."""


class NameNotResolved(NotConnected):
    """The DNS knows no address."""


class TlsFailed(NotConnected):
    """There is no common version, or no valid certificate for the host."""


class Guard(httpcore2.AsyncNetworkBackend):
    """Resolves hosts by `resolve`, judges their addresses, connects to them by `network`."""

    def __init__(
        self, *, allow_loopback: bool, resolve: Resolve | None, network: httpcore2.AsyncNetworkBackend | None
    ) -> None:
        self._allow_loopback = allow_loopback
        self._resolve = self._ask_system if resolve is None else resolve
        self._network = httpcore2.AnyIOBackend() if network is None else network
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, "resolver")
        self._lookups: dict[tuple[str, int], asyncio.Task[list[str]]] = {}  # Under way.

    async def connect_tcp(self, host: str, port: int, *_: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        """Connect within `timeout` seconds. Addresses are tried in turn, each for its share of what is left.

        Raises:
            NotConnected: the host is not known, or refused.
            httpcore2.ConnectError: none of its addresses takes connections.
            httpcore2.ConnectTimeout: the last one did not answer.
            TimeoutError: the name was not resolved in time.

        """
        deadline = time.monotonic() + options["timeout"]
        async with asyncio.timeout(options["timeout"]):
            addresses = await self._judged(host, port)
        *others, last = addresses[:ADDRESSES_TRIED_MAX]
        for tried, address in enumerate(others):
            share = (deadline - time.monotonic()) / (len(others) + 1 - tried)
            with suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return Stream(await self._network.connect_tcp(address, port, timeout=share))
        return Stream(await self._network.connect_tcp(last, port, timeout=deadline - time.monotonic()))

    def close(self) -> None:
        """Drop the lookups. One that a thread has begun ends by itself, unheard."""
        for lookup in self._lookups.values():
            lookup.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _judged(self, host: str, port: int) -> list[str]:
        """Return the host's addresses. One that is refused speaks for all: an honest host has no two faces."""
        found = [host] if _is_address(host) else await self._ask(host, port)
        if not all(self._is_allowed(address) for address in found):
            raise AddressRefused(host)
        return found

    async def _ask(self, host: str, port: int) -> list[str]:
        """Return the host's addresses. Who asks for a host that is being looked up waits for the same answer."""
        lookup = self._lookups.get((host, port))
        if lookup is None:
            lookup = self._lookups[host, port] = asyncio.create_task(self._found(host, port))
            lookup.add_done_callback(lambda _: self._lookups.pop((host, port)))
        found = await asyncio.shield(lookup)  # Who gives up waiting does not cancel it for the others.
        if not found:
            raise NameNotResolved(host)
        return found

    async def _found(self, host: str, port: int) -> list[str]:
        try:
            return list(dict.fromkeys(await self._resolve(host, port)))
        except (OSError, UnicodeError):
            return []

    async def _ask_system(self, host: str, port: int) -> list[str]:
        """Ask the hosts file, then the DNS, as the system is configured."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host, port)

    def _is_allowed(self, address: str) -> bool:
        return _is_address(address) and refusal(ip_address(address), allow_loopback=self._allow_loopback) is None


class Stream(httpcore2.AsyncNetworkStream):
    """Sends a request in one piece, once its answer is read: httpcore writes its head and its body apart."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._unsent = bytearray()

    @property
    def is_sent(self) -> bool:
        """Whether the request has left. An answer before that is none: it came along with the answer before it."""
        return not self._unsent

    async def write(self, buffer: bytes, *_: Any, **__: Any) -> None:
        self._unsent += buffer

    async def read(self, max_bytes: int, *_: Any, **options: Any) -> bytes:
        if self._unsent:
            sent = bytes(self._unsent)
            self._unsent.clear()
            with suppress(httpcore2.WriteError):  # As httpcore: it may have answered before it hung up.
                await self._stream.write(sent, **options)
        return await self._stream.read(max_bytes, **options)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, ssl_context: ssl.SSLContext, *args: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        """Shake hands.

        Raises:
            TlsFailed: they could not agree, or the certificate is not valid.
            httpcore2.ConnectTimeout: the other side was silent.

        """
        try:
            return Stream(await self._stream.start_tls(ssl_context, *args, **options))
        except httpcore2.ConnectError as error:
            raise TlsFailed(str(error)) from error
        except asyncio.CancelledError:  # The only end at which httpcore leaves the connection open.
            await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _addresses(host: str, port: int) -> list[str]:
    return [str(address[0]) for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
