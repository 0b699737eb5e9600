"""What a figure was measured on."""

import os
import platform
from pathlib import Path

import msgspec

from local.programs import postgres_folder, postgres_major

MODEL = "model name"


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    cores: int
    memory_gib: float
    kernel: str
    python: str
    processor: str = ""
    postgres: str = ""


def machine() -> Machine:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cores=os.cpu_count() or 0,
        memory_gib=round(memory / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        processor=_processor(),
        postgres=str(postgres_major(postgres_folder())),
    )


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith(MODEL)]
    return named[0] if named else platform.processor()
