"""What processes hold in memory, as Linux tells it: the resident set now, and the most it ever was."""

import contextlib
from pathlib import Path

from local.stack import Stack

PROC = Path("/proc")
NOW, PEAK = "VmRSS", "VmHWM"  # proc_pid_status(5), both in kB.
RESET_PEAK = "5"  # proc_pid_clear_refs(5).
KIB_PER_MB = 1_024
KINDS = ("api", "worker-transactions", "worker-customers", "worker-wallets", "worker-webhooks", "worker-maintenance")
OTHERS = ("sweeper", "beat")


def by_process(stack: Stack, field: str = NOW) -> dict[str, float]:
    """Return the megabytes of each process of ours; of a worker, its largest: the parent or a pool child."""
    return {name: max(_megabytes(pid, field) for pid in family(stack.pid(name))) for name in (*KINDS, *OTHERS)}


def by_kind(processes: dict[str, float]) -> dict[str, float]:
    """Return the largest of each kind, which is what stands before the dash of a name."""
    kinds: dict[str, float] = {}
    for name, megabytes in processes.items():
        kind = name.partition("-")[0]
        kinds[kind] = max(kinds.get(kind, 0.0), megabytes)
    return kinds


def forget_peaks(stack: Stack) -> None:
    """Let the most that they ever held begin anew: what it took to start and to log in is no part of a load."""
    for name in (*KINDS, *OTHERS):
        for pid in family(stack.pid(name)):
            with contextlib.suppress(OSError):
                (PROC / str(pid) / "clear_refs").write_text(RESET_PEAK, encoding="ascii")


def family(pid: int) -> list[int]:
    """Return the process and all that it started."""
    listed = PROC / str(pid) / "task" / str(pid) / "children"
    children = [int(child) for child in listed.read_text(encoding="ascii").split()] if listed.exists() else []
    return [pid, *(one for child in children for one in family(child))]


def _megabytes(pid: int, field: str) -> float:
    try:
        lines = (PROC / str(pid) / "status").read_text(encoding="utf-8").splitlines()
    except OSError:  # It ended a moment ago, or this is not Linux.
        return 0.0
    values = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return round(int(values[0]) / KIB_PER_MB, 1) if values else 0.0
