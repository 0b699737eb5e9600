"""Connections are used again, never when the other side has closed them, and not without end."""

import asyncio

import pytest

from tests.workers.sinks import BODY, HEADERS, OK, End, Respond, answering, listening, outbound, until
from workers import outbound as outbound_module

LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"a" * 100_000
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
OLD = b"HTTP/1.0 200 OK\r\n\r\nok"


@pytest.mark.parametrize(
    ("respond", "connections"),
    [
        (answering(OK), 1),
        (answering(OK, end=End.CLOSED), 50),  # It did not say that it would.
        (answering(OK, end=End.RESET), 50),
        (answering(LAST, end=End.CLOSED), 50),
        (answering(OLD, end=End.CLOSED), 50),
        (answering(LONG), 50),  # Nobody reads to its end.
    ],
    ids=["kept", "closed", "reset", "announced", "http_1_0", "long"],
)
def test_fifty_posts_in_a_row_all_arrive(respond: Respond, connections: int) -> None:
    async def run() -> None:
        async with listening(respond) as sink, outbound() as out:
            answers = [await out.post(sink.url, HEADERS, BODY) for _ in range(50)]
            assert {(answer.status, answer.error) for answer in answers} == {(200, None)}
            assert (len(sink.requests), sink.connections) == (50, connections)

    asyncio.run(run())


def test_a_connection_that_the_other_side_closed_while_it_was_idle_is_not_used_again() -> None:
    async def run() -> None:
        async with listening(answering(OK)) as sink, outbound() as out:
            assert (await out.post(sink.url, HEADERS, BODY)).status == 200
            for task in sink.tasks:
                task.cancel()
            await asyncio.gather(*sink.tasks, return_exceptions=True)
            assert (await out.post(sink.url, HEADERS, BODY)).status == 200
            assert sink.connections == 2

    asyncio.run(run())


def test_an_answer_too_many_does_not_pass_for_the_next_one() -> None:
    async def run() -> None:
        async with listening(answering(OK + OK)) as sink, outbound() as out:
            answers = [await out.post(sink.url, HEADERS, BODY) for _ in range(4)]
            assert [answer.status or answer.error for answer in answers] == [200, "answer_malformed"] * 2
            assert (len(sink.requests), sink.connections) == (2, 2)

    asyncio.run(run())


def test_a_connection_that_was_idle_for_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with listening(answering(OK)) as sink, listening(answering(OK)) as other, outbound() as out:
            await out.post(sink.url, HEADERS, BODY)
            await asyncio.sleep(0.1)
            await out.post(other.url, HEADERS, BODY)
            await until(lambda: sink.open == 0)
            assert other.open == 1

    monkeypatch.setattr(outbound_module, "KEEPALIVE_SECONDS", 0.08)
    asyncio.run(run())


def test_the_connection_that_was_idle_for_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with (
            listening(answering(OK)) as first,
            listening(answering(OK)) as second,
            listening(answering(OK)) as third,
            outbound() as out,
        ):
            for sink in (first, second, third):
                await out.post(sink.url, HEADERS, BODY)
            await until(lambda: first.open == 0)
            assert (second.open, third.open) == (1, 1)

    monkeypatch.setattr(outbound_module, "IDLE_MAX", 2)
    asyncio.run(run())


def test_hosts_do_not_share_connections() -> None:
    async def run() -> None:
        async with listening(answering(OK)) as sink, outbound() as out:
            for host in ("127.0.0.1", "localhost", "127.0.0.1", "localhost"):
                assert (await out.post(f"http://{host}:{sink.port}/", HEADERS, BODY)).status == 200
            assert sink.connections == 2

    asyncio.run(run())


def test_the_way_out_closes_its_connections() -> None:
    async def run() -> None:
        async with listening(answering(OK)) as sink:
            async with outbound() as out:
                await asyncio.gather(*(out.post(sink.url, HEADERS, BODY) for _ in range(5)))
                assert sink.open == 5
            await until(lambda: sink.open == 0)

    asyncio.run(run())
