"""Batches made by a process of its own, while the one before is being written.

In a thread of this one they would take turns with what writes: parsing and sealing a row is as much of Python's work
as looking up its keys and writing it.
"""

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from imports.batches import Batch, Maker
from imports.source import Source
from settings import Settings

ALONE_BYTES = 4_000_000  # Of a file: some 20,000 rows, which take a second. Another process takes that long to begin.

_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Batch)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Where the other process begins, and how it makes batches."""

    path: Path
    identity: tuple[int, int]  # Of the open file: digest and lock are of that one, whoever has its name by now.
    position: int
    row_number: int
    config: Settings
    rows: int


def ahead(maker: Maker) -> Iterator[Batch]:
    """Yield the maker's batches. Those of a large file are made by another process, one before it is asked for.

    Raises:
        RuntimeError: the other process has died.
        Unreadable: somebody wrote into the file, of which the other process may have died, too.

    """
    try:
        for batch in _made(maker):
            maker.source.require_unchanged()
            yield batch
    except RuntimeError:
        maker.source.require_unchanged()
        raise


def _made(maker: Maker) -> Iterator[Batch]:
    source = maker.source
    if source.path.stat().st_size - source.position <= ALONE_BYTES:
        yield from maker.batches()
        return
    start = Start(
        path=source.path,
        identity=source.identity,
        position=source.position,
        row_number=source.row_number,
        config=maker.config,
        rows=maker.rows,
    )
    processes = multiprocessing.get_context("spawn")
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=_make, args=(start, sender), daemon=True)
    process.start()
    sender.close()
    try:
        while not (batch := _decoder.decode(receiver.recv_bytes())).is_last:
            yield batch
        yield batch
    except (EOFError, OSError):  # Between two messages, or within one: most are larger than the pipe.
        process.join()
        raise RuntimeError(f"the process that makes batches has ended: {process.exitcode}") from None
    finally:
        receiver.close()  # If it is still at it, its next message finds nobody.
        process.join()


def _make(start: Start, sender: Connection) -> None:
    """Send batch after batch; a pipe holds less than one, so that each waits until it is asked for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who reads, and then nobody does any more.
    with start.path.open("rb") as file:
        source = Source(start.path, file)
        if source.identity != start.identity:
            sys.exit(f"{start.path.name}: another file has taken its place")
        source.go_to(start.position, start.row_number)
        try:
            for batch in Maker(source, start.config, start.rows).batches():
                sender.send_bytes(_encoder.encode(batch))
        except BrokenPipeError:  # The reader has ended, by an error or by kill -9.
            return
