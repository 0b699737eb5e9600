"""Which metrics and labels a PromQL expression names: enough of the grammar to tell them from functions and words.

https://prometheus.io/docs/prometheus/latest/querying/basics/
"""

import re
from collections.abc import Iterator

import msgspec

TOKEN = re.compile(
    r"""
      (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<range>\[[^\]]*\])
    | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    | (?P<number>\d[\da-zA-Z.+-]*)
    | (?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^(){},=<>])
    | (?P<space>\s+)
    """,
    re.VERBOSE,
)
OPERATORS = {"and", "or", "unless", "offset", "bool", "inf", "nan", "atan2", "start", "end"}
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What an expression names."""

    selected: list[tuple[str, frozenset[str]]]  # Series, each with the labels that it is selected by.
    grouped: frozenset[str]  # Labels that are grouped or matched by.


def named(expression: str) -> Named:
    """Return what an expression names.

    Raises:
        ValueError: it holds something that is no PromQL, or that this does not know.

    """
    tokens = list(_tokens(expression))
    selected: list[tuple[str, frozenset[str]]] = []
    grouped: set[str] = set()
    place = 0
    while place < len(tokens):
        kind, word = tokens[place]
        following = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind == "name" and word in GROUPING:
            labels, place = _until(")", tokens, place + 1)
            grouped.update(labels)
        elif kind == "name" and word not in OPERATORS and following != "(" and not _is_aggregation(tokens, place):
            labels, place = _until("}", tokens, place + 1) if following == "{" else ([], place + 1)
            selected.append((word, frozenset(labels)))
        else:
            place += 1
    return Named(selected=selected, grouped=frozenset(grouped))


def _is_aggregation(tokens: list[tuple[str, str]], place: int) -> bool:
    """Tell whether the name here is that of an aggregation whose labels come first: `sum by (x) (...)`."""
    return place + 1 < len(tokens) and tokens[place + 1][1] in {"by", "without"}


def _until(end: str, tokens: list[tuple[str, str]], place: int) -> tuple[list[str], int]:
    """Return the names up to the closing sign, and the place behind it."""
    names = []
    while tokens[place][1] != end:
        if tokens[place][0] == "name":
            names.append(tokens[place][1])
        place += 1
    return names, place + 1


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(expression):
        found = TOKEN.match(expression, place)
        if found is None or found.lastgroup is None:
            raise ValueError(f"no PromQL at {expression[place:]!r}")
        place = found.end()
        if found.lastgroup not in {"space", "range"}:
            yield found.lastgroup, found.group()
