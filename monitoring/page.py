"""The tables of docs/metrics.md: every metric, as the code declares it. `make docs` writes them, a test compares."""

import re
from collections.abc import Iterator

from monitoring.catalog import Exposed, sections

PART = re.compile(r"<!-- generated -->\n.*?<!-- end -->\n", re.DOTALL)


def rendered(page: str) -> str:
    """Return the page with its tables as they ought to be.

    Raises:
        ValueError: the page has no place for them, or several.

    """
    if len(PART.findall(page)) != 1:
        raise ValueError("the page needs one part between <!-- generated --> and <!-- end -->")
    text = "\n".join(_lines())
    return PART.sub(lambda _: f"<!-- generated -->\n\n{text}\n<!-- end -->\n", page)


def _lines() -> Iterator[str]:
    for title, metrics in sections().items():
        yield f"### {title}\n"
        yield "| name | type | labels | unit | meaning |"
        yield "|---|---|---|---|---|"
        yield from map(_row, metrics)
        yield ""


def _row(metric: Exposed) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.type} | {labels} | {metric.unit} | {metric.meaning} |"
