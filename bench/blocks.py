"""Parts of our pages that follow from bench/latest.json: `python -m bench.blocks` writes them anew, a test compares.

A place for one is a line `<!-- generated: NAME -->` and, somewhere below, `<!-- end -->`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from bench import capacity, claim, latest, results
from bench.latest import Latest

ROOT = Path(__file__).parents[1]
Lines = Callable[[Latest], Iterable[str]]
PAGES: Mapping[str, tuple[str, Lines]] = {
    "README.md": ("measured", claim.lines),
    "docs/operations.md": ("capacity", capacity.lines),
    "docs/benchmarks/README.md": ("results", results.lines),
}


def rendered(page: str, name: str, lines: Iterable[str]) -> str:
    """Return the page with the block as it ought to be.

    Raises:
        ValueError: the page has not one place for it.

    """
    part = re.compile(rf"<!-- generated: {name} -->\n.*?<!-- end -->\n", re.DOTALL)
    text = "\n".join(lines)
    result, places = part.subn(lambda _: f"<!-- generated: {name} -->\n\n{text}\n\n<!-- end -->\n", page)
    if places != 1:
        raise ValueError(f"the page has {places} places for `{name}`; expected 1")
    return result


def pages(root: Path, found: Latest) -> Iterator[tuple[Path, str]]:
    """Yield each page with what it ought to say."""
    for page, (name, lines) in PAGES.items():
        path = root / page
        yield path, rendered(path.read_text(encoding="utf-8"), name, lines(found))


def main(root: Path = ROOT) -> None:
    for path, text in pages(root, latest.load(latest.PATH)):
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
