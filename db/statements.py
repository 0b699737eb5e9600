"""Statements as they are executed, for who traces them: their text, in which every value is a parameter."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

End: TypeAlias = Callable[[BaseException | None], None]  # Called at the end of a statement, with the error it met.
Begin: TypeAlias = Callable[[str, str], End | None]  # Called with a summary and the text.

# Not a lock's FOR UPDATE or FOR NO KEY UPDATE, nor a conflict's DO UPDATE.
CHANGE = re.compile(r"(?<!FOR )(?<!KEY )(?<!DO )\b(INSERT|UPDATE|DELETE)\b(?: INTO| FROM)? (\w+)")
READ = re.compile(r"\b(SELECT)\b(?:.*?\bFROM (\w+))?", re.DOTALL)
OTHER = "SQL"
SUMMARIES_MAX = 1_000  # More than there are statements.

_listeners: dict[Begin, Callable[..., None]] = {}


def listen(begin: Begin) -> None:
    """Call `begin` with each statement of this process, on every engine, until `ignore`."""

    def before(**given: Any) -> None:
        given["context"].end_of_span = begin(summary(given["statement"]), given["statement"])

    _listeners[begin] = before
    event.listen(Engine, "before_cursor_execute", before, named=True)
    event.listen(Engine, "after_cursor_execute", _after, named=True)
    event.listen(Engine, "handle_error", _failed)


def ignore(begin: Begin) -> None:
    event.remove(Engine, "before_cursor_execute", _listeners.pop(begin))
    event.remove(Engine, "after_cursor_execute", _after)
    event.remove(Engine, "handle_error", _failed)


def _after(**given: Any) -> None:
    _end(given["context"], None)


def _failed(given: ExceptionContext) -> None:
    _end(given.execution_context, given.original_exception)


def _end(context: Any, error: BaseException | None) -> None:
    """A connection that fails has no context, and a statement that nobody traces has no end to tell of."""
    end: End | None = getattr(context, "end_of_span", None)
    if end is not None:
        end(error)


@lru_cache(maxsize=SUMMARIES_MAX)
def summary(statement: str) -> str:
    """Return the operation and its table: of what is changed first, or else of what is read."""
    found = CHANGE.search(statement) or READ.search(statement)
    return OTHER if found is None else " ".join(filter(None, found.groups()))
