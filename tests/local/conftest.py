import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with _reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def module_data_dir() -> Iterator[Path]:
    with _reachable_folder() as folder:
        yield folder


@contextlib.contextmanager
def _reachable_folder() -> Iterator[Path]:
    """Make a folder that PostgreSQL's account reaches when we are root; pytest's own are closed to it."""
    with tempfile.TemporaryDirectory(prefix="tekana-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
