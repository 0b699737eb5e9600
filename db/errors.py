"""What errors of the database say: never a row.

PostgreSQL quotes rows in the DETAIL and CONTEXT of an error, with line breaks in them as they were sent, and values in
the messages of data exceptions. An error travels far, into logs, tracebacks and Flower, so it is cut where it is born.
Its `diag` still has everything, for who asks for the name of a constraint.
"""

from psycopg import Error
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

DATA_EXCEPTION = "22"  # The class of `invalid input syntax for type uuid: "..."` (PostgreSQL's appendix A).


def keep_rows_out(engine: Engine) -> Engine:
    """Return the engine, whose errors quote no rows from now on."""
    event.listen(engine, "handle_error", _shorten)
    return engine


def _shorten(context: ExceptionContext) -> None:
    """Shorten what the error and SQLAlchemy's around it say."""
    error, around = context.original_exception, context.sqlalchemy_exception
    if not isinstance(error, Error) or (message := said(error)) is None:
        return  # Not of the server: it never saw a row.
    error.args = (message,)
    if around is not None:
        around.args = (f"({type(error).__module__}.{type(error).__name__}) {error}",)


def said(error: Error) -> str | None:
    """Return the server's message, without values; None where the server said nothing."""
    state = error.sqlstate or ""
    return f"a value was refused (SQLSTATE {state})" if state.startswith(DATA_EXCEPTION) else error.diag.message_primary
