"""Bringing customers over from a previous platform, beside a bare COPY of the same rows."""

from collections.abc import Callable

from bench import imports
from bench.imports import Imported
from bench.options import Options


def measure(options: Options, say: Callable[[str], None]) -> Imported:
    """Import so many customers on servers of their own; `ratio_to_copy` is the time over that of COPY."""
    say(f"  importing {options.import_customers:,} customers")
    return imports.measure(options.import_customers)
