import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec


class Kept:
    """What is chosen once and remembered: generated secrets, ports, the operator's key.

    One JSON object of strings in a file that only its owner may read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, str] = {}
        if path.exists():
            self._values = msgspec.json.decode(path.read_bytes(), type=dict[str, str])

    def once(self, name: str, make: Callable[[], str]) -> str:
        """Return the value of `name`, made and remembered on the first call."""
        if not self.get(name):
            self.put(name, make())
        return self.get(name)

    def get(self, name: str) -> str:
        """Return the remembered value, or an empty string."""
        return self._values.get(name, "")

    def put(self, name: str, value: str) -> None:
        self._values[name] = value
        write_private(self._path, msgspec.json.format(msgspec.json.encode(self._values)))


def write_private(path: Path, content: bytes) -> None:
    """Replace the file at once, mode 0600: a reader sees the old content or the new, never a part."""
    write_atomically(path, content, mode=0o600)


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
