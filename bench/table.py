"""The results of a run as a table, for whoever waited for them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.latest import Latest, figures

WIDTH = 28


def of(found: Latest, names: Sequence[str]) -> str:
    """Return a line for each figure of the named parts."""
    measured = figures({name: part for name, part in found.parts.items() if name in names})
    lines = [f"{name:{WIDTH}} {_shown(value)}" for name, value in measured.items()]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "  ".join(_flat(value))
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _flat(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if not isinstance(value, Mapping | list):
            yield f"{name} {_shown(value)}"
