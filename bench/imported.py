"""Bringing customers over from a previous platform, beside a bare COPY of the same rows."""

import importlib
from collections.abc import Callable

import msgspec

from bench.options import Options


def measure(options: Options, say: Callable[[str], None]) -> msgspec.Struct:
    """Import so many customers on servers of their own; `ratio_to_copy` is the time over that of COPY."""
    say(f"  importing {options.import_customers:,} customers")
    found: msgspec.Struct = importlib.import_module("bench.imports").measure(options.import_customers)
    return found
