"""The log of what was acknowledged: on the disk before a client counts the answer, so that no memory is the witness."""

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was answered with a job, as it was asked."""

    at: datetime
    path: str
    key: str
    body: dict[str, Any]
    job_id: str


class Log:
    """Takes lines from any thread, each whole and synced; hands them out once, as the file has them."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="tekana-acknowledged-")
        self.path = Path(self._folder) / "log.jsonl"
        self._file = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self._read = 0  # Bytes.
        self.count = 0  # About: threads may add at the same time.

    def keep(self, path: str, key: str, body: dict[str, Any], job_id: str) -> None:
        one = Acknowledged(at=datetime.now(UTC), path=path, key=key, body=body, job_id=job_id)
        os.write(self._file, msgspec.json.encode(one) + b"\n")
        os.fdatasync(self._file)
        self.count += 1

    def unread(self) -> list[Acknowledged]:
        """Return what was kept since the last time."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            lines = file.readlines()
            self._read = file.tell()
        return [msgspec.json.decode(line, type=Acknowledged) for line in lines]

    def close(self) -> None:
        os.close(self._file)
        shutil.rmtree(self._folder)
