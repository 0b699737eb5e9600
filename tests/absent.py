"""Addresses of Redis where nobody is, or nobody who answers, or somebody who answers something else."""

import contextlib
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator

from local import ports

OF_ANOTHER_SHAPE = b"*1\r\n:1\r\n"  # A list of one number: no script of ours answers that, and no key holds it.
OF_ANOTHER_SENSE = b"*3\r\n:0\r\n:0\r\n:1000\r\n"  # A rate that lets nobody through, and of which all is left.
A_NUMBER = b":-1\r\n"  # That nothing is counted as.
ANSWERS = {"of another shape": OF_ANOTHER_SHAPE, "of another sense": OF_ANOTHER_SENSE, "a number": A_NUMBER}
ANSWERS |= {"too few numbers": b"*2\r\n:1\r\n:0\r\n", "a long wait": b"*3\r\n:0\r\n:9\r\n:9000000\r\n"}
KINDS = ("gone", "silent", *ANSWERS)
COMMAND = re.compile(rb"(?:^|\r\n)\*\d+\r\n")
CHUNK_BYTES = 65_536
NO_LINGER = struct.pack("ii", 1, 0)  # socket(7): what is closed is not said farewell to, but reset.
RESET_SECONDS = 0.05  # For the answer to be read.


@contextlib.contextmanager
def away(kind: str) -> Iterator[str]:
    if kind in ANSWERS:
        with answering(ANSWERS[kind]) as url:
            yield url
        return
    with socket.create_server((ports.HOST, 0)) as silent:
        port = silent.getsockname()[1] if kind == "silent" else ports.free()
        yield f"redis://{ports.HOST}:{port}/0"


@contextlib.contextmanager
def answering(*answers: bytes, port: int = 0, resets: bool = False) -> Iterator[str]:
    """Answer every command on the first connection by the first answer, on the next by the next, and so on.

    Or reset each connection after it has answered a GET.
    """
    left = list(answers)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            answer = left.pop(0) if len(left) > 1 else left[0]
            while data := self.request.recv(CHUNK_BYTES):
                self.request.sendall(answer * len(COMMAND.findall(data)))
                if resets and b"GET" in data:
                    time.sleep(RESET_SECONDS)
                    self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                    self.request.close()
                    return

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True  # A server that was here a moment ago has left connections.

    with Server((ports.HOST, port), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"redis://{ports.HOST}:{server.server_address[1]}/0"
        finally:
            server.shutdown()
            thread.join()
