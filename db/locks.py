"""Advisory locks: who may do what only one process should."""

from sqlalchemy import Connection, text

SWEEP = 7_242_632


def try_sweep(connection: Connection) -> bool:
    """Become the one sweeper until this transaction ends; False while another one is."""
    return bool(connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": SWEEP}))
