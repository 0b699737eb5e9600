"""However a forbidden address is spelled, named or rebound, no connection is made; a good one is connected to."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import pytest

from domain.deliveries import Answer
from tests.addresses import FORBIDDEN_ADDRESSES, FORBIDDEN_URLS, GOOD_ADDRESSES, GOOD_URLS, LOOPBACK_URLS, host
from tests.workers.certificates import Authority
from tests.workers.sinks import (
    BODY,
    HEADERS,
    OK,
    PUBLIC,
    Diverted,
    End,
    Names,
    Respond,
    Sink,
    answering,
    hang_up,
    listening,
    outbound,
    read_request,
)
from workers.guard import ADDRESSES_TRIED_MAX

NAME = "https://hooks.example.com/"
FORBIDDEN = [
    *(url for url, _ in FORBIDDEN_URLS),
    *(url for url, _ in LOOPBACK_URLS),
    *(f"https://{host(address)}{port}/" for address, _ in FORBIDDEN_ADDRESSES for port in ("", ":8443")),
]
ANSWERING = answering(OK)
HANGING_SECONDS_MAX = 60.0  # For a test that would wait for it.
OTHERS = ["8.8.4.4", "8.8.8.8", "1.1.1.1", "1.0.0.1", "9.9.9.9"]


def posted(urls: Sequence[str], network: Diverted, **changes: Any) -> list[Answer]:
    async def run() -> list[Answer]:
        async with outbound(allow_loopback=False, network=network, **changes) as out:
            return [await out.post(url, HEADERS, BODY) for url in urls]

    return asyncio.run(run())


def test_no_forbidden_url_reaches_a_listener_on_this_machine() -> None:
    async def run() -> tuple[list[str], int, list[tuple[str, int]]]:
        async with listening(answering(OK)) as canary:
            network = Diverted(canary.port)
            async with outbound(allow_loopback=False, network=network, resolve=Names([PUBLIC])) as out:
                passed = [url for url in FORBIDDEN if (await out.post(url, HEADERS, BODY)).error != "address_refused"]
            return passed, canary.connections, network.connected

    assert asyncio.run(run()) == ([], 0, [])


@pytest.mark.parametrize("before", [[], [PUBLIC], [PUBLIC, "2606:4700:4700::1111"]], ids=len)
@pytest.mark.parametrize("after", [[], [PUBLIC]], ids=len)
def test_a_name_with_one_forbidden_address_is_not_connected_to(before: list[str], after: list[str]) -> None:
    network = Diverted(None)
    resolve = Names(*([*before, address, *after] for address, _ in FORBIDDEN_ADDRESSES))
    answers = posted([NAME] * len(FORBIDDEN_ADDRESSES), network, resolve=resolve)
    assert {answer.error for answer in answers} == {"address_refused"}
    assert network.connected == []
    assert len(resolve.asked) == len(FORBIDDEN_ADDRESSES)


def test_a_name_that_turns_to_this_machine_is_resolved_once_for_each_connection() -> None:
    async def run() -> None:
        network, resolve = Diverted(None), Names([PUBLIC], ["127.0.0.1"])
        async with outbound(allow_loopback=False, network=network, resolve=resolve) as out:
            assert (await out.post(NAME, HEADERS, BODY)).error == "connection_failed"
            assert (network.connected, resolve.asked) == ([(PUBLIC, 443)], [("hooks.example.com", 443)])
            assert (await out.post(NAME, HEADERS, BODY)).error == "address_refused"
            assert network.connected == [(PUBLIC, 443)]

    asyncio.run(run())


def test_a_good_url_is_connected_to_at_the_address_that_was_judged() -> None:
    network = Diverted(None)
    urls = [*(url for _, url in GOOD_URLS), *(f"https://{host(address)}/" for address in GOOD_ADDRESSES)]
    answers = posted(urls, network, resolve=Names([PUBLIC]))
    assert {answer.error for answer in answers} == {"connection_failed"}
    assert network.connected == [destination(url) for url in urls]


def destination(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname if parts.hostname in GOOD_ADDRESSES else PUBLIC, parts.port or 443


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ([], "name_not_resolved"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "name_not_resolved"),
        (UnicodeError("label too long"), "name_not_resolved"),
        (["not an address"], "address_refused"),
        (["0x7f.1"], "address_refused"),
        ([PUBLIC, ""], "address_refused"),
    ],
)
def test_a_name_without_an_address_is_not_connected_to(answer: list[str] | Exception, error: str) -> None:
    network = Diverted(None)
    [found] = posted([NAME], network, resolve=Names(answer))
    assert (found.error, network.connected) == (error, [])


def test_an_address_that_refuses_is_followed_by_the_next() -> None:
    network = Diverted(None, dead=frozenset(OTHERS))
    [answer] = posted([NAME], network, resolve=Names([OTHERS[0], OTHERS[0], OTHERS[1]]))
    assert answer.error == "connection_failed"
    assert network.connected == [(OTHERS[0], 443), (OTHERS[1], 443)]


def test_not_every_address_of_a_long_list_is_tried() -> None:
    network = Diverted(None)
    posted([NAME], network, resolve=Names(OTHERS))
    assert network.connected == [(address, 443) for address in OTHERS[:ADDRESSES_TRIED_MAX]]


class Timed(Diverted):
    """Keeps how many seconds each address is given; a silent one does not use them."""

    given: tuple[float, ...] = ()

    async def connect_tcp(self, host: str, port: int, *_: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        self.given += (options["timeout"],)
        used = {"timeout": 0.0} if host in self.silent else {}
        return await super().connect_tcp(host, port, **options | used)


def test_a_silent_address_leaves_time_for_the_next() -> None:
    async def run() -> tuple[int | None, tuple[float, ...]]:
        async with listening(answering(OK)) as sink:
            network = Timed(sink.port, silent=frozenset(OTHERS[:1]))
            resolve = Names([OTHERS[0], PUBLIC])
            async with outbound(network=network, resolve=resolve, connect_timeout_seconds=60) as out:
                return (await out.post("http://hooks.localhost/", HEADERS, BODY)).status, network.given

    status, (first, last) = asyncio.run(run())
    assert status == 200
    assert 20 < first <= 30 < last <= 60  # The half, then all that is left.


def test_silence_of_all_addresses_ends_with_the_time_to_connect() -> None:
    [answer] = posted(
        [NAME],
        Diverted(None, silent=frozenset(OTHERS)),
        resolve=Names(OTHERS[:2]),
        connect_timeout_seconds=0.1,
    )
    assert answer.error == "timed_out"
    assert 90 <= answer.duration_ms < 3_000


def test_a_resolver_that_is_silent_ends_with_the_time_to_connect() -> None:
    async def silent(_host: str, _port: int) -> list[str]:
        await asyncio.sleep(10)
        return [PUBLIC]

    [answer] = posted([NAME], Diverted(None), resolve=silent, connect_timeout_seconds=0.1)
    assert answer.error == "timed_out"


def test_names_are_resolved_as_the_system_does() -> None:
    async def run() -> None:
        async with listening(answering(OK)) as sink, outbound() as out:
            answer = await out.post(f"http://localhost:{sink.port}/", HEADERS, BODY)
            assert answer.status == 200

    asyncio.run(run())


def test_a_lookup_that_hangs_holds_up_neither_the_post_nor_the_close(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, is_over = [], threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        is_over.wait(HANGING_SECONDS_MAX)
        ended.append("lookup")
        return []

    async def run() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", hang)
        async with outbound(connect_timeout_seconds=0.1) as out:
            assert (await out.post(NAME, HEADERS, BODY)).error == "timed_out"
        ended.append("close")

    asyncio.run(run())
    is_over.set()
    assert ended[0] == "close"


def test_posts_to_one_host_share_a_lookup_and_the_next_ones_ask_anew() -> None:
    asked: list[str] = []

    async def slowly(host: str, _: int) -> list[str]:
        asked.append(host)
        await asyncio.sleep(0.05)
        return [PUBLIC]

    async def run() -> None:
        async with outbound(network=Diverted(None, dead=frozenset({PUBLIC})), resolve=slowly) as out:
            for _ in range(2):
                answers = await asyncio.gather(*(out.post(NAME, HEADERS, BODY) for _ in range(20)))
                assert {answer.error for answer in answers} == {"connection_failed"}

    asyncio.run(run())
    assert len(asked) == 2


def test_a_post_that_gives_up_leaves_the_lookup_to_the_others() -> None:
    async def run() -> list[str | None]:
        asked, is_known = asyncio.Event(), asyncio.Event()

        async def slowly(*_: object) -> list[str]:
            asked.set()
            await is_known.wait()
            return [PUBLIC]

        network = Diverted(None, dead=frozenset({PUBLIC}))
        async with outbound(network=network, resolve=slowly, connect_timeout_seconds=60, timeout_seconds=60) as out:
            impatient = asyncio.create_task(out.post(NAME, HEADERS, BODY))
            await asked.wait()
            patient = asyncio.create_task(out.post(NAME, HEADERS, BODY))
            await asyncio.sleep(0.05)  # By then it waits for the same lookup.
            impatient.cancel()
            await asyncio.wait({impatient})
            is_known.set()
            answers = await asyncio.gather(impatient, patient, return_exceptions=True)
            return [one.error if isinstance(one, Answer) else type(one).__name__ for one in answers]

    assert asyncio.run(run()) == ["CancelledError", "connection_failed"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def posted_by_tls(
    url: str, context: ssl.SSLContext, respond: Respond = ANSWERING, **changes: Any
) -> tuple[Answer, list[bytes]]:
    """Post to a server of this machine that stands for the URL's host; return the answer and what the server got."""

    async def run() -> tuple[Answer, list[bytes]]:
        async with listening(respond, context) as sink, outbound(network=network, resolve=names, **changes) as out:
            network.port = sink.port
            return await out.post(url, HEADERS, BODY), sink.requests

    network, names = Diverted(None), Names([PUBLIC])
    return asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (NAME, "hooks.example.com"),
        (NAME, "*.example.com"),
        ("https://8.8.8.8/", "8.8.8.8"),
        ("https://[2606:4700:4700::1111]/", "2606:4700:4700::1111"),
    ],
)
def test_a_certificate_is_checked_for_the_host_and_not_for_its_address(
    authority: Authority, url: str, name: str
) -> None:
    answer, requests = posted_by_tls(url, authority.serving(name), ssl_context=authority.trusting())
    assert (answer.status, answer.error, len(requests)) == (200, None, 1)


def test_the_server_is_told_which_host_is_meant(authority: Authority) -> None:
    told: list[str | None] = []
    context = authority.serving("hooks.example.com")
    context.sni_callback = lambda _socket, name, _context: told.append(name)
    posted_by_tls(NAME, context, ssl_context=authority.trusting())
    assert told == ["hooks.example.com"]


@pytest.mark.parametrize(
    ("url", "name", "days"),
    [
        (NAME, "hooks.example.com", -1),
        (NAME, "hooks.example.org", 1),
        (NAME, "example.com", 1),
        (NAME, PUBLIC, 1),
        ("https://8.8.8.8/", "8.8.4.4", 1),
    ],
    ids=["expired", "other_name", "parent", "address", "other_address"],
)
def test_nothing_is_sent_to_a_server_whose_certificate_is_not_valid(
    authority: Authority, url: str, name: str, days: int
) -> None:
    context = authority.serving(name, days=days)
    answer, requests = posted_by_tls(url, context, ssl_context=authority.trusting())
    assert (answer.error, requests) == ("tls_failed", [])


def test_nothing_is_sent_to_a_server_whose_authority_the_system_does_not_know(authority: Authority) -> None:
    answer, requests = posted_by_tls(NAME, authority.serving("hooks.example.com"), ssl_context=None)
    assert (answer.error, requests) == ("tls_failed", [])


def test_nothing_is_sent_to_a_server_that_signed_its_certificate_itself(authority: Authority, tmp_path: Path) -> None:
    answer, requests = posted_by_tls(
        NAME, Authority(tmp_path).serving("hooks.example.com"), ssl_context=authority.trusting()
    )
    assert (answer.error, requests) == ("tls_failed", [])


def test_nothing_is_sent_to_a_server_that_is_too_old(authority: Authority) -> None:
    context = authority.serving("hooks.example.com")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    answer, requests = posted_by_tls(NAME, context, ssl_context=None)
    assert (answer.error, requests) == ("tls_failed", [])


def test_a_server_that_asks_for_our_certificate_gets_none(authority: Authority) -> None:
    context = authority.serving("hooks.example.com")
    context.verify_mode = ssl.CERT_REQUIRED
    answer, requests = posted_by_tls(NAME, context, ssl_context=authority.trusting())
    assert answer.error in {"tls_failed", "connection_lost"}  # Whichever arrives first: its alert, or its end.
    assert requests == []


def test_a_record_that_was_not_encrypted_is_no_answer(authority: Authority) -> None:
    async def respond(_: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        os.write(writer.get_extra_info("socket").fileno(), OK)
        await reader.read()

    context = authority.serving("hooks.example.com")
    answer, _ = posted_by_tls(NAME, context, respond, ssl_context=authority.trusting())
    assert answer.error == "tls_failed"


@pytest.mark.parametrize("end", [End.KEPT, End.CLOSED, End.RESET])
def test_a_server_without_tls_gets_nothing(authority: Authority, end: End) -> None:
    async def respond(_: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        if end is End.RESET:
            hang_up(writer)
        elif end is End.KEPT:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def run() -> Answer:
        async with listening(respond) as sink, outbound(ssl_context=authority.trusting()) as out:
            return await out.post(f"https://localhost:{sink.port}/", HEADERS, BODY)

    assert asyncio.run(run()).error == "tls_failed"


def test_silence_in_the_handshake_ends_with_the_time_to_connect() -> None:
    async def silent(_: Sink, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        while await reader.read(1_000):
            pass

    async def run() -> Answer:
        async with listening(silent) as sink, outbound(connect_timeout_seconds=0.1) as out:
            return await out.post(f"https://localhost:{sink.port}/", HEADERS, BODY)

    assert asyncio.run(run()).error == "timed_out"
