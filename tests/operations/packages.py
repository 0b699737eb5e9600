"""Programs of this machine's own packages, which `make operations` needs and nothing else does."""

import shutil
from pathlib import Path

PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Debian keeps servers out of users' PATH.


class PackageMissing(Exception):
    """A program that is tried here is not installed; the message names its package."""


def program(name: str, package: str) -> Path:
    """Return where a program is.

    Raises:
        PackageMissing: nowhere.

    """
    found = shutil.which(name, path=PLACES)
    if found is None:
        raise PackageMissing(f"{name} is not here: apt-get install --no-install-recommends {package}")
    return Path(found)
