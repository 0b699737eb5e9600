"""Receivers of webhooks, in a thread beside the test: each keeps what it was sent and answers as told."""

import asyncio
import contextlib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Self

import msgspec
import uvloop

from tests.flows.world import World
from tests.workers.sinks import OK, Respond, Sink, listening, read_request

ARRIVE_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.05


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came. `headers` by lower-case name."""

    at: float  # By the monotonic clock.
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answering = Callable[[Message, asyncio.StreamWriter], Awaitable[None]]


async def well(_: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    await writer.drain()


def saying(status: str, *headers: str, body: str = "") -> Answering:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])

    async def answer(_: Message, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{head}\r\n\r\n{body}".encode())
        await writer.drain()

    return answer


def at_first(*answers: Answering) -> Answering:
    """Answer in turn; the last one for ever."""
    left = list(answers)

    async def answer(message: Message, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(message, writer)

    return answer


class Receiver:
    """One address with its secret, once an endpoint has been registered for it."""

    def __init__(self, answer: Answering) -> None:
        self.messages: list[Message] = []
        self.answer = answer
        self.url = ""
        self.endpoint_id = ""
        self.secret = ""

    async def respond(self, _: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(reader)
            message = _message(request)
            self.messages.append(message)
            await self.answer(message, writer)

    def counts(self) -> Counter[str]:
        """Return how often each event came."""
        return Counter(message.id for message in list(self.messages))


class Receivers:
    """Opens receivers; all of them listen until the end."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="receivers", daemon=True)
        self._stack = contextlib.AsyncExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, answer: Answering = well, context: ssl.SSLContext | None = None) -> Receiver:
        receiver = Receiver(answer)
        scheme = "http" if context is None else "https"
        receiver.url = f"{scheme}://127.0.0.1:{self._do(self._listen(receiver.respond, context))}/"
        return receiver

    async def _listen(self, respond: Respond, context: ssl.SSLContext | None) -> int:
        sink = await self._stack.enter_async_context(listening(respond, context))
        return sink.port

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def register(world: World, receiver: Receiver, *event_types: str) -> Receiver:
    body = {"url": receiver.url, "event_types": list(event_types) or ["*"]}
    made = world.http.post("/v1/webhook-endpoints", json=body)
    assert made.status_code == 201, made.text
    receiver.endpoint_id, receiver.secret = made.json()["id"], made.json()["secret"]
    return receiver


def remove(world: World, receiver: Receiver) -> None:
    assert world.http.delete(f"/v1/webhook-endpoints/{receiver.endpoint_id}").status_code == 204


def wait_until(is_done: Callable[[], bool], seconds: float = ARRIVE_SECONDS_MAX) -> bool:
    """Return whether it was done in time."""
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def _message(request: bytes) -> Message:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = (line.decode("latin-1").partition(":") for line in head.split(b"\r\n")[1:])
    return Message(at=time.monotonic(), headers={name.lower(): value.strip() for name, _, value in lines}, body=body)
