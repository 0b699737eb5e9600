import random
import socket

HOST = "127.0.0.1"

# Below the ports that systems hand to outgoing connections (32768 on Linux, 49152 on macOS): while a server
# is down, a client that keeps trying its port from that range may connect to itself and occupy it.
FIRST, LAST = 20_000, 29_999
TRIES_MAX = 200  # Of 10,000 ports: if all of these are taken, something else is wrong.

_promised: set[int] = set()  # By this process, to whom listens there only later.


def free() -> int:
    """Return a port of this machine that nobody listens on, and that this process has promised to nobody.

    Raises:
        OSError: none was found.

    """
    for _ in range(TRIES_MAX):
        port = random.SystemRandom().randint(FIRST, LAST)
        if port not in _promised and is_free(port):
            promise(port)
            return port
    raise OSError(f"no free port between {FIRST} and {LAST}")


def promise(port: int) -> None:
    """Let `free` not choose this one."""
    _promised.add(port)


def is_free(port: int, host: str = HOST) -> bool:
    with socket.socket() as probe:
        # As servers do: connections that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
