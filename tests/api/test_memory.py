"""What hashing takes, the process gives back."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HASHES = """
import asyncio, resource
from api.memory import give_back_large_blocks
from api.passwords import MEMORY_KIB, Passwords

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024

async def hashes(passwords):
    await asyncio.gather(*(passwords.hash(str(number)) for number in range(12)))

give_back_large_blocks()
passwords = Passwords(0)
before = resident()
asyncio.run(hashes(passwords))
print((resident() - before) / MEMORY_KIB)
"""


def test_the_memory_of_many_hashes_is_not_kept() -> None:
    said = subprocess.run([sys.executable, "-c", HASHES], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert float(said) < 0.5  # Of a single one; without giving back, one or more stay.
