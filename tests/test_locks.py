"""Whoever installs a lock has all that our modules import: the environment of the tests has more, and would hide it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUNNING = ["api", "db", "domain", "imports", "monitoring", "workers"]
# What Celery looks for by name when a process begins.
LATE = ["celery.apps.beat", "celery.concurrency.prefork", "cli", "flower.command", "kombu.transport.redis"]

# Distributions that the lock does not name are not there; then every module is imported.
PROGRAM = """
import importlib, pkgutil, re, sys
from importlib.metadata import packages_distributions

def plain(name):
    return re.sub("[-_.]+", "-", name).lower()

lock, *names = sys.argv[1:]
locked = {plain(name) for name in re.findall("^([^ =]+)==", open(lock).read(), re.MULTILINE)} | {"tekana"}
hidden = {top for top, owners in packages_distributions().items() if not locked & set(map(plain, owners))}

class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"{lock} lacks {name}", name=name)

sys.meta_path.insert(0, Hiding())
for name in names:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(module.__path__, name + ".") if hasattr(module, "__path__") else ():
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
print(len(hidden))
"""


@pytest.mark.parametrize(
    ("lock", "names"),
    [
        ("requirements.lock", RUNNING + LATE),
        ("requirements-tracing.lock", ["spans"]),
        ("requirements-local.lock", ["local"]),
    ],
)
def test_a_lock_has_all_that_is_imported(lock: str, names: list[str]) -> None:
    argv = [sys.executable, "-c", PROGRAM, lock, *names]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
