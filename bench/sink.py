"""A receiver that costs as little as possible: `python -m bench.sink FILE` answers 200 and notes when what came.

The file gets the port on its first line, then one line a message: when it was received and what its event says of
when it happened, in seconds since 1970.
"""

import asyncio
import re
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TextIO, cast

import uvloop

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
TIMESTAMP = re.compile(rb'"timestamp":"([^"]+)"')
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Receiver(asyncio.Protocol):
    def __init__(self, notes: TextIO) -> None:
        self._notes = notes
        self._received = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self._received, 0, end + 2)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            self._note(bytes(self._received[end + 4 : whole]))
            del self._received[:whole]

    def _note(self, body: bytes) -> None:
        now = time.time()
        if self._transport is not None:
            self._transport.write(ANSWER)
        if found := TIMESTAMP.search(body):
            happened = datetime.fromisoformat(found[1].decode()).timestamp()
            self._notes.write(f"{now} {happened}\n")


async def serve(path: Path) -> None:
    with path.open("w", buffering=1, encoding="ascii") as notes:
        server = await asyncio.get_running_loop().create_server(lambda: Receiver(notes), "127.0.0.1", 0)
        notes.write(f"{server.sockets[0].getsockname()[1]}\n")
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
