"""What arrives on a connection: each state of it has one bound, and a refusal comes in its turn or not at all.

uvicorn serves a small application in this process, with bounds as short as a test makes them.
"""

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
import uvicorn

import api.arrivals
from api.arrivals import HEAD_BYTES_MAX, Arrivals
from local import ports
from tests.attacks import raw

BOUND_SECONDS = 0.6
LOOP_SECONDS = 0.002  # uvloop counts milliseconds from the one in which it last woke up: so much too early, at most.
NEVER_SECONDS = 600.0  # For the bounds that a test is not about.
PAUSE_SECONDS = 0.05
START_SECONDS_MAX = 30.0

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = b"GET /half HTTP/1.1\r\nHost: localhost\r\n"
LENGTH = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"\r\n\r\n"
LAST = b"\r\nConnection: close" + END
WAIT = GET.replace(b"/", b"/wait", 1)
GO = GET.replace(b"/", b"/go", 1)
EARLY = LENGTH.replace(b"/", b"/early", 1)

Serve = Callable[..., str]


class Application:
    """Answers with the size of the body; /early without reading it, and /wait once somebody has asked for /go."""

    def __init__(self) -> None:
        self._gone = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        size, is_whole = 0, scope["path"] == "/early"
        while not is_whole:
            message = await receive()
            size, is_whole = size + len(message.get("body", b"")), not message.get("more_body", False)
        if scope["path"] == "/go":
            self._gone.set()
        if scope["path"] == "/wait":
            await self._gone.wait()
        said = b"%s %d" % (scope["path"].encode(), size)
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(said)).encode())]}
        )
        await send({"type": "http.response.body", "body": said})


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve with the bounds that are given, and no others; return the address."""
    with contextlib.ExitStack() as ended:

        def start(*, head: float = NEVER_SECONDS, request: float = NEVER_SECONDS, idle: float = NEVER_SECONDS) -> str:
            monkeypatch.setattr(api.arrivals, "HEAD_SECONDS_MAX", head)
            monkeypatch.setattr(api.arrivals, "REQUEST_SECONDS_MAX", request)
            return ended.enter_context(served(idle))

        yield start


@contextlib.contextmanager
def served(idle: float) -> Iterator[str]:
    port = ports.free()
    config = uvicorn.Config(
        Application(), host=ports.HOST, port=port, http=Arrivals, ws="none", lifespan="off", log_config=None
    )
    config.timeout_keep_alive = idle  # type: ignore[assignment] # seconds of the event loop, which has fractions
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + START_SECONDS_MAX
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield f"http://{ports.HOST}:{port}"
    server.should_exit = server.force_exit = True
    thread.join()


# What is sent first, what then without end, the bound that ends it, and the last answer.
TRICKLES = {
    "blank lines from the beginning": (b"", b"\r\n", "head", b""),
    "a head": (HALF, b"X: 1\r\n", "head", b"408"),
    "a head after blank lines": (b"\r\n\r\n" + HALF, b"X: 1\r\n", "head", b"408"),
    "a head after an answer and a blank line": (GET + b"\r\n" + HALF, b"X: 1\r\n", "head", b"408"),
    "nothing after an answer": (GET, b"", "idle", b"200"),
    "blank lines after an answer": (GET, b"\r\n", "idle", b"200"),
    "blank lines after an answer and a blank line": (GET + b"\r\n", b"\r\n", "idle", b"200"),
    "blank lines after a body": (CHUNKED + b"1\r\n \r\n0\r\n\r\n", b"\r\n", "idle", b"200"),
    "a body": (LENGTH, b" ", "request", b"408"),
    "chunks": (CHUNKED, b"1\r\n \r\n", "request", b"408"),
    "a chunk's extension": (CHUNKED + b"1;", b"x", "request", b"408"),
    "trailers": (CHUNKED + b"0\r\n", b"X: 1\r\n", "request", b"408"),
    "a body after its answer": (EARLY, b" ", "request", b"200"),
    "a body after the answer to another": (GET + LENGTH, b" ", "request", b"408"),
}


@pytest.mark.parametrize("is_whole", [True, False], ids=["in one piece", "its last byte later"])
@pytest.mark.parametrize(("first", "then", "bound", "last"), TRICKLES.values(), ids=TRICKLES.keys())
def test_what_never_ends_is_closed_by_the_bound_of_its_state(
    serve: Serve, *, first: bytes, then: bytes, bound: str, last: bytes, is_whole: bool
) -> None:
    url, pieces = serve(**{bound: BOUND_SECONDS}), [first] if is_whole else [first[:-1], first[-1:]]
    said, seconds = raw.trickle(url, pieces, then, pause_seconds=PAUSE_SECONDS)
    assert statuses(said)[-1:] == [last] * bool(last)
    assert seconds > BOUND_SECONDS - LOOP_SECONDS  # The timer begins after we do.


def test_an_answer_that_takes_long_is_not_cut_by_any_bound(serve: Serve) -> None:
    url = serve(head=BOUND_SECONDS, request=BOUND_SECONDS, idle=BOUND_SECONDS)
    with raw.connected(url) as connection:
        connection.sendall(WAIT + b"\r\n")
        time.sleep(3 * BOUND_SECONDS)
        connection.sendall(b"\r\n")
        raw.exchange(url, GO)
        assert statuses(raw.rest(connection)) == [b"200"]


def test_a_request_that_came_in_pieces_has_no_bound_once_it_is_whole(serve: Serve) -> None:
    url = serve(head=BOUND_SECONDS, request=BOUND_SECONDS)
    post = LENGTH.replace(b" / ", b" /wait ").replace(b"9000", b"1") + b" "
    with raw.connected(url) as connection:
        for piece in (post[:9], post[9:-1], post[-1:]):
            connection.sendall(piece)
            time.sleep(PAUSE_SECONDS)
        time.sleep(2 * BOUND_SECONDS)
        raw.exchange(url, GO.replace(END, LAST))
        connection.sendall(GET.replace(END, LAST))
        assert statuses(raw.rest(connection)) == [b"200", b"200"]


FRAMES = {
    "trailers": CHUNKED + b"0\r\n" + b"X-Trailer: 1\r\n" * 10_000,
    "one trailer": CHUNKED + b"0\r\nX: " + b"a" * 4 * HEAD_BYTES_MAX,
    "trailers that end": CHUNKED + b"0\r\n" + b"X-Trailer: 1\r\n" * 10_000 + b"\r\n",
    "an extension": CHUNKED + b"1;" + b"x" * 4 * HEAD_BYTES_MAX,
    "extensions": CHUNKED + b"1;extension=value\r\n \r\n" * 10_000,
    "a size": CHUNKED + b"0" * 4 * HEAD_BYTES_MAX,
}


@pytest.mark.parametrize("sent", FRAMES.values(), ids=FRAMES.keys())
def test_what_stands_about_a_body_is_bounded(serve: Serve, sent: bytes) -> None:
    said = raw.exchange(serve(), sent)
    # Who still sends while we close may hear of that alone.
    assert said == b"" or codes(said) == ["header_too_large"]


def test_the_bound_of_what_stands_about_a_body_is_said(serve: Serve) -> None:
    said, _ = raw.trickle(serve(), [CHUNKED + b"0\r\n"], b"X: " + b"a" * 5_000 + b"\r\n", pause_seconds=PAUSE_SECONDS)
    assert codes(said) == ["header_too_large"]


def test_blank_lines_are_bounded_too(serve: Serve) -> None:
    said, _ = raw.trickle(serve(), [GET], b"\r\n" * 2_000, pause_seconds=PAUSE_SECONDS)
    assert statuses(said) == [b"200"]


PLAIN = {
    "chunks of one byte": (CHUNKED + b"1\r\n \r\n" * 20_000 + b"0\r\n\r\n", b"/ 20000"),
    "a few trailers": (CHUNKED + b"1\r\n \r\n0\r\nX: 1\r\nY: 2\r\n\r\n", b"/ 1"),
    "an extension": (CHUNKED + b"1;a=b\r\n \r\n0\r\n\r\n", b"/ 1"),
    "a large body": (LENGTH.replace(b"9000", b"900000") + b" " * 900_000, b"/ 900000"),
    "a large chunk": (CHUNKED + b"dbba0\r\n" + b" " * 900_000 + b"\r\n0\r\n\r\n", b"/ 900000"),
}


@pytest.mark.parametrize(("sent", "answer"), PLAIN.values(), ids=PLAIN.keys())
def test_what_is_usual_is_answered_and_so_is_what_follows_in_the_same_packet(
    serve: Serve, sent: bytes, answer: bytes
) -> None:
    said = raw.exchange(serve(), sent + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert statuses(said) == [b"200", b"200"]
    assert answer in said
    assert said.endswith(b"/ 0")


# What comes behind a request that still waits for its answer, and how it is refused.
BEHIND = {
    "words": (b"hello, is anybody there?\r\n\r\n", ["bad_request"]),
    "a broken head": (HALF + b": 1\r\n\r\n", ["bad_request"]),
    "a large head": (HALF + b"X: " + b"a" * HEAD_BYTES_MAX + b"\r\n\r\n", ["header_too_large"]),
    "a large head without an end": (HALF + b"X: " + b"a" * 2 * HEAD_BYTES_MAX, ["header_too_large"]),
    "half a head": (HALF, ["request_timeout"]),
    "a broken body": (CHUNKED + b"x", ["bad_request"]),
    "half a body": (LENGTH, ["request_timeout"]),
    "large trailers": (CHUNKED + b"0\r\nX: " + b"a" * 2 * HEAD_BYTES_MAX, ["header_too_large"]),
    "blank lines without an end": (b"\r\n" * HEAD_BYTES_MAX, []),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("behind", "refused"), BEHIND.values(), ids=BEHIND.keys())
def test_a_refusal_comes_after_the_answers_to_earlier_requests(
    serve: Serve, *, count: int, behind: bytes, refused: list[str]
) -> None:
    url = serve(head=BOUND_SECONDS, request=BOUND_SECONDS)
    with raw.connected(url) as connection:
        connection.sendall(WAIT * count + behind)
        assert raw.heard(connection, 2 * BOUND_SECONDS) is None
        raw.exchange(url, GO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        said = raw.rest(connection)
    assert said.count(b"/wait 0") == count
    assert statuses(said)[:count] == [b"200"] * count
    assert codes(said) == refused
    assert len(statuses(said)) == count + len(refused)


NAMED = b"X-Request-Id: mine\r\n"
REFUSED = {
    "in its body": (CHUNKED.replace(b"\r\n\r\n", b"\r\n" + NAMED + b"\r\n") + b"x", "/"),
    "behind the name": (HALF + NAMED + b"X: 1\r\n: 1\r\n", "/"),
    "in the body of a path": (
        CHUNKED.replace(b"/ ", b"/a/b ").replace(b"\r\n\r\n", b"\r\n" + NAMED + b"\r\n") + b"x",
        "/a/b",
    ),
}


@pytest.mark.parametrize(("sent", "path"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_bears_the_name_that_the_request_gave_itself(serve: Serve, sent: bytes, path: str) -> None:
    [found] = problems(raw.exchange(serve(), sent))
    assert (found["request_id"], found["instance"]) == ("mine", path)


def test_a_name_is_not_kept_for_the_next_request(serve: Serve) -> None:
    first = GET.replace(b"\r\n\r\n", b"\r\n" + NAMED + b"\r\n")
    [found] = problems(raw.exchange(serve(), first, b"words\r\n\r\n"))
    assert found["request_id"] != "mine"


def statuses(said: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d{3}) ", said)


def codes(said: bytes) -> Sequence[str]:
    return [found["code"] for found in problems(said)]


def problems(said: bytes) -> list[dict[str, Any]]:
    return [msgspec.json.decode(found) for found in re.findall(rb"\{.*?\}", said)]
