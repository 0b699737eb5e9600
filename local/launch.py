"""Become another program, one that ends with its parent.

    python -I -S launch.py PARENT_PID SIGNAL ACCOUNT PROGRAM [ARGUMENT...]

A program of its own, because code between fork and exec (subprocess's `preexec_fn`) may deadlock in a
process that has threads. It imports nothing but the standard library and is gone after 30 ms.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    parent, death_signal, account, *argv = sys.argv[1:]
    # Python ignores this one, and an ignored signal stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if account:
        _become(account)
    _end_with(int(parent), int(death_signal))  # Last: a change of user clears it (prctl(2)).
    os.execv(argv[0], argv)  # noqa: S606  # No shell is what we want.


def _become(account: str) -> None:
    entry = pwd.getpwnam(account)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _end_with(parent: int, death_signal: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:  # It died before we asked to be told.
        sys.exit(1)


if __name__ == "__main__":
    main()
