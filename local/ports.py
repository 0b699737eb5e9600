import random
import socket

HOST = "127.0.0.1"

# Below the ports that systems hand to outgoing connections (32768 on Linux, 49152 on macOS): while a server
# is down, a client that keeps trying its port from that range may connect to itself and occupy it.
FIRST, LAST = 20_000, 29_999
TRIES_MAX = 200  # Of 10,000 ports: if all of these are taken, something else is wrong.


def free() -> int:
    """Return a port of this machine that nobody listens on.

    Raises:
        OSError: none was found.

    """
    for _ in range(TRIES_MAX):
        port = random.SystemRandom().randint(FIRST, LAST)
        if is_free(port):
            return port
    raise OSError(f"no free port between {FIRST} and {LAST}")


def is_free(port: int, host: str = HOST) -> bool:
    with socket.socket() as probe:
        # As servers do: connections that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
