"""Memory of a password's hash, 19 MiB for 20 ms: it goes back to the system each time.

glibc asks the system for large blocks by themselves, until one of them is freed: from then on it serves blocks of that
size from its heap, which it keeps. A process that has logged in a few callers had 175 MB in the place of 118.
"""

import ctypes

M_MMAP_THRESHOLD = -3  # As malloc.h names it (mallopt(3)). Once it is set, it stays as it is.
LARGE_BYTES = 4 << 20  # Less than a hash needs, more than anything else here.


def give_back_large_blocks() -> None:
    """Set the size from which on blocks are the system's. Other C libraries than glibc do it of themselves."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
