"""What errors of the database say, never a row, and which of them end the connection.

PostgreSQL quotes rows in the DETAIL and CONTEXT of an error, with line breaks in them as they were sent, and values in
the messages of data exceptions. An error travels far, into logs, tracebacks and Flower, so it is cut where it is born.
Its `diag` still has everything, for who asks for the name of a constraint.
"""

from psycopg import Error
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

DATA_EXCEPTION = "22"  # The class of `invalid input syntax for type uuid: "..."` (PostgreSQL's appendix A).
READ_ONLY = "25006"  # What a primary says that has become a standby.


def attend_to_errors(engine: Engine) -> Engine:
    """Return the engine, whose errors quote no rows from now on, and let go of a server that became a standby."""
    event.listen(engine, "handle_error", _shorten)
    event.listen(engine, "handle_error", _leave_a_standby)
    return engine


def _leave_a_standby(context: ExceptionContext) -> None:
    """Have all of the pool connect anew, and find the primary: a connection stays with a server that was demoted."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


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
