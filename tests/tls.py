"""A front of TLS for a server that has none: it decrypts, passes on, and encrypts the answer."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from local import ports
from tests.workers.certificates import Authority

CHUNK_BYTES = 65_536


@contextlib.contextmanager
def fronted(port: int, certificate: ssl.SSLContext) -> Iterator[int]:
    """Stand before a port of this machine; yield the port of the front."""
    loop, front = asyncio.new_event_loop(), ports.free()
    thread = threading.Thread(target=loop.run_forever, name="front of TLS", daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(_serve(front, port, certificate), loop).result()
    try:
        yield front
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def trusted(authority: Authority, folder: Path) -> str:
    """Return a file that holds an authority's own certificate, for `ssl_ca_certs`."""
    file = folder / "authority.pem"
    file.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    return str(file)


async def _serve(front: int, port: int, certificate: ssl.SSLContext) -> asyncio.Server:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(ports.HOST, port)
        with contextlib.closing(writer), contextlib.closing(behind_writer), contextlib.suppress(OSError):
            there = asyncio.create_task(_pump(reader, behind_writer))
            back = asyncio.create_task(_pump(behind_reader, writer))
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            there.cancel()
            back.cancel()

    return await asyncio.start_server(talk, ports.HOST, front, ssl=certificate)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
