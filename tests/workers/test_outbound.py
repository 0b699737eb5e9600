"""Whatever the other side does to a post, it ends in time with a status or a reason, and nothing is raised."""

import asyncio
import gc
import tracemalloc
from typing import Any

import httpcore2
import pytest

from domain.deliveries import EXCERPT_CHARACTERS, Answer
from tests.workers.sinks import (
    BODY,
    HEADERS,
    OK,
    Diverted,
    End,
    Respond,
    Sink,
    answering,
    listening,
    outbound,
    read_request,
    until,
)
from workers.outbound import BODY_BYTES_MAX, RETRY_AFTER_CHARACTERS, Failure

BIG_BYTES = 10_000_000
SLOW_MS = 3_000  # A deadline of a fraction of a second was kept, on a machine that does much else.
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def posted(respond: Respond, *, path: str = "", **changes: Any) -> tuple[Answer, Sink]:
    async def run() -> tuple[Answer, Sink]:
        async with listening(respond) as sink, outbound(**changes) as out:
            return await out.post(sink.url + path, HEADERS, BODY), sink

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "status", "excerpt"),
    [
        (OK, 200, "ok"),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201, ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, "ok"),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad", 400, "bad"),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", 410, ""),
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops", 500, "oops"),
        (b"HTTP/1.1 503\r\nContent-Length: 0\r\n\r\n", 503, ""),
        (b"HTTP/1.1 999 Who Knows\r\nContent-Length: 0\r\n\r\n", 999, ""),
        (CHUNKED + b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\nTrailer: x\r\n\r\n", 200, "abc"),
    ],
)
def test_an_answer_has_its_status_and_an_excerpt(answer: bytes, status: int, excerpt: str) -> None:
    found, sink = posted(answering(answer))
    assert (found.status, found.error, found.excerpt) == (status, None, excerpt)
    assert len(sink.requests) == 1


def test_a_body_may_end_with_the_connection() -> None:
    found, _ = posted(answering(b"HTTP/1.1 200 OK\r\n\r\nall of it", end=End.CLOSED))
    assert (found.status, found.excerpt) == (200, "all of it")


def test_a_request_is_what_was_asked_for_and_nothing_else() -> None:
    _, sink = posted(answering(OK), path=";v=1/a%20b?key=1")
    lines = [
        "POST /hooks;v=1/a%20b?key=1 HTTP/1.1",
        f"Host: 127.0.0.1:{sink.port}",
        "User-Agent: Tekana-Webhooks/1",
        "webhook-id: evt_1",
        "content-type: application/json",
        f"Content-Length: {len(BODY)}",
    ]
    assert sink.requests == ["\r\n".join([*lines, "", ""]).encode() + BODY]


def test_an_ipv6_host_is_named_in_its_brackets() -> None:
    async def run() -> bytes:
        async with listening(answering(OK)) as sink, outbound(network=Diverted(sink.port)) as out:
            assert (await out.post("http://[::1]:8000/", HEADERS, BODY)).status == 200
            return sink.requests[0]

    assert b"\r\nHost: [::1]:8000\r\n" in asyncio.run(run())


@pytest.mark.parametrize("value", ["120", "Fri, 31 Dec 1999 23:59:59 GMT", "soon"])
def test_retry_after_is_kept_as_it_was_sent(value: str) -> None:
    found, _ = posted(answering(f"HTTP/1.1 429 X\r\nretry-AFTER: {value}\r\nContent-Length: 0\r\n\r\n".encode()))
    assert (found.status, found.retry_after) == (429, value)


def test_a_retry_after_that_nobody_can_mean_is_cut() -> None:
    found, _ = posted(answering(b"HTTP/1.1 429 X\r\nRetry-After: %b\r\nContent-Length: 0\r\n\r\n" % (b"9" * 5_000)))
    assert found.retry_after == "9" * RETRY_AFTER_CHARACTERS


@pytest.mark.parametrize(
    ("body", "excerpt"),
    [
        (b"a\r\n\tb\x00c\x1b[31m\x7f", "a bc[31m"),
        ("Ürümqi \u202egro\u200b".encode(), "Ürümqi gro"),
        (b"\xff\xfeA\x00", "\ufffd\ufffdA"),
        (b"\x00" * 1_000 + b"late", "late"),
        (b"a" * 1_000, "a" * EXCERPT_CHARACTERS),
    ],
)
def test_an_excerpt_is_printable_and_short(body: bytes, excerpt: str) -> None:
    found, _ = posted(answering(b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)))
    assert found.excerpt == excerpt


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status: int) -> None:
    async def run() -> None:
        async with listening(answering(OK)) as canary, outbound() as out:
            to_canary = f"HTTP/1.1 {status} Go\r\nLocation: {canary.url}\r\nContent-Length: 0\r\n\r\n"
            async with listening(answering(to_canary.encode())) as sink:
                assert (await out.post(sink.url, HEADERS, BODY)).status == status
                assert (len(sink.requests), canary.connections) == (1, 0)

    asyncio.run(run())


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with listening(answering(OK)) as canary, listening(answering(OK)) as sink:
            for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
            async with outbound() as out:
                assert (await out.post(sink.url, HEADERS, BODY)).status == 200
            assert canary.connections == 0

    asyncio.run(run())


def test_no_cookie_comes_back() -> None:
    async def run() -> list[bytes]:
        cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
        async with listening(answering(cookie)) as sink, outbound() as out:
            for _ in range(2):
                await out.post(sink.url, HEADERS, BODY)
            return sink.requests

    first, second = asyncio.run(run())
    assert first == second


@pytest.mark.parametrize(
    ("pieces", "end", "error"),
    [
        ([], End.CLOSED, "connection_lost"),
        ([], End.RESET, "connection_lost"),
        ([b"HTTP/1.1 200 O"], End.CLOSED, "connection_lost"),
        ([HEAD + b"abc"], End.CLOSED, "connection_lost"),
        ([HEAD + b"abc"], End.RESET, "connection_lost"),
        ([CHUNKED + b"3\r\nab"], End.CLOSED, "connection_lost"),
        ([b"SSH-2.0-OpenSSH_9.6\r\n\r\n"], End.KEPT, "answer_malformed"),
        ([bytes(range(256)) * 2, b"\r\n\r\n"], End.KEPT, "answer_malformed"),
        ([b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n"], End.CLOSED, "answer_malformed"),
        ([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], End.KEPT, "answer_malformed"),
        ([b"HTTP/1.1 OK\r\n\r\n"], End.KEPT, "answer_malformed"),
        ([b"HTTP/3 200 OK\r\n\r\n"], End.KEPT, "answer_malformed"),
        ([b"HTTP/1.1 2000 OK\r\n\r\n"], End.KEPT, "answer_malformed"),
        ([b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"], End.KEPT, "answer_malformed"),
        ([b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"], End.KEPT, "answer_malformed"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"], End.KEPT, "answer_malformed"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"], End.KEPT, "answer_malformed"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % (b"9" * 5_000)], End.KEPT, "answer_malformed"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n"], End.KEPT, "answer_malformed"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"], End.KEPT, "answer_malformed"),
        ([b"HTTP/1.1 200 OK\r\nX: %b\r\n\r\n" % (b"a" * 200_000)], End.KEPT, "answer_malformed"),
        ([b"HTTP/1.1 200 OK\r\n", *[b"X: %b\r\n" % (b"a" * 10_000)] * 30], End.KEPT, "answer_malformed"),
        ([CHUNKED + b"zz\r\n"], End.KEPT, "answer_malformed"),
        ([CHUNKED + b"f" * 5_000 + b"\r\n"], End.KEPT, "answer_malformed"),
    ],
)
def test_an_answer_that_cannot_be_read_has_a_reason_and_no_status(pieces: list[bytes], end: End, error: str) -> None:
    found, sink = posted(answering(*pieces, end=end))
    assert (found.status, found.error) == (None, error)
    assert len(sink.requests) == 1  # Not sent again.


@pytest.mark.parametrize(
    "pieces",
    [[], [OK[at : at + 1] for at in range(len(OK))], [HEAD, *[b"a"] * 10], [b"HTTP/1.1 100 Continue\r\n\r\n"] * 30],
    ids=["silent", "dripping_head", "dripping_body", "continuing"],
)
def test_an_answer_that_does_not_end_in_time_is_none(pieces: list[bytes]) -> None:
    found, _ = posted(answering(*pieces, pause_seconds=0.04), timeout_seconds=0.2)
    assert (found.status, found.error) == (None, "timed_out")
    assert 190 <= found.duration_ms < SLOW_MS


def test_a_duration_is_how_long_the_answer_took() -> None:
    found, _ = posted(answering(OK[:5], OK[5:], pause_seconds=0.1))
    assert (found.status, found.error) == (200, None)
    assert 90 <= found.duration_ms < SLOW_MS


def test_of_a_large_answer_the_beginning_is_read_and_counts() -> None:
    piece, taken = b"a" * 50_000, []

    async def respond(_: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG_BYTES)
        for _piece in range(0, BIG_BYTES, len(piece)):
            writer.write(piece)
            await writer.drain()
            taken.append(len(piece))

    posted(answering(OK))  # What is loaded once is no memory of the answer's.
    tracemalloc.start()
    found, _ = posted(respond)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.status, found.excerpt) == (200, "a" * EXCERPT_CHARACTERS)
    assert sum(taken) < BIG_BYTES  # What was read, and what fits the system's buffers.
    assert peak < 20 * BODY_BYTES_MAX


def test_nobody_listens() -> None:
    async def run() -> Answer:
        async with listening(answering(OK)) as sink:
            url = sink.url
        async with outbound() as out:
            return await out.post(url, HEADERS, BODY)

    assert asyncio.run(run()).error == "connection_failed"


def test_no_more_connections_are_open_at_once_than_allowed_and_waiting_for_one_takes_no_time_from_a_post(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the clock of the loop, which the answers advance, all take 160 seconds: of these a post sees less than 40."""
    passed: list[float] = []

    async def slowly(_: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            passed.append(5)
            writer.write(OK)
            await writer.drain()

    async def run() -> tuple[set[int | None], int]:
        loop = asyncio.get_running_loop()
        clock = loop.time
        monkeypatch.setattr(loop, "time", lambda: clock() + sum(passed))
        async with listening(slowly) as sink:
            async with outbound(connections_max=4, timeout_seconds=60, connect_timeout_seconds=60) as out:
                answers = await asyncio.gather(*(out.post(sink.url, HEADERS, BODY) for _ in range(32)))
            return {answer.status for answer in answers}, sink.open_max

    assert asyncio.run(run()) == ({200}, 4)
    assert sum(passed) == 160


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_post_that_is_cancelled_closes_its_connection(scheme: str) -> None:
    """By http while the answer is awaited, by https while the other side is silent in the handshake."""

    async def silent(_: Sink, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        while await reader.read(1_000):
            pass

    async def run() -> None:
        async with listening(silent) as sink, outbound() as out:
            post = asyncio.ensure_future(out.post(f"{scheme}://127.0.0.1:{sink.port}/", HEADERS, BODY))
            await until(lambda: sink.open == 1)
            post.cancel()
            with pytest.raises(asyncio.CancelledError):
                await post
            await until(lambda: sink.open == 0)

    asyncio.run(run())
    gc.collect()  # A socket that was left open would warn now.


def test_a_mistake_of_ours_is_raised() -> None:
    async def run() -> None:
        async with listening(answering(OK)) as sink, outbound() as out:
            with pytest.raises(httpcore2.LocalProtocolError):
                await out.post(sink.url, {"webhook-id": "1\r\nHost: x"}, BODY)
            assert (await out.post(sink.url, HEADERS, BODY)).status == 200

    asyncio.run(run())


def test_a_failure_is_the_sentence_that_it_is_named_for() -> None:
    assert [failure.value for failure in Failure] == [failure.name.lower() for failure in Failure]
