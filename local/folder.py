import fcntl
import os
from pathlib import Path
from typing import IO

from local.errors import StackError


def claim(data_dir: Path) -> IO[str]:
    """Make the folder if need be and lock it; closing the returned file gives it back.

    Raises:
        StackError: another stack uses it.

    """
    if not data_dir.exists():
        data_dir.mkdir(parents=True)
        data_dir.chmod(0o711)  # Others may pass (PostgreSQL's account, when we are root), not look around.
    file = (data_dir / "lock").open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise StackError(
            f"{data_dir} is in use by process {holder}: stop that one first, or set DATA_DIR to another folder"
        ) from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
