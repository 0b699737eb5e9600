"""How the API's and the workers' roles, which the migration made, come to their passwords and settings."""

from typing import Any

from sqlalchemy import Connection, make_url, text

from settings import SettingsError

ROLE_SETTINGS = {
    "synchronous_commit": "on",  # A 202 means that the job is on disk.
    "timezone": "UTC",  # Timestamps leave the API with a Z (RFC 3339).
    "lock_timeout": "3s",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "client_connection_check_interval": "1s",  # A query whose client died stops, and lets its locks go.
}


def admit(connection: Connection, url: str) -> None:
    """Give the role of `url` its password and settings; the owner, whose connection this is, has them.

    Raises:
        SettingsError: there is no such role.

    """
    address, quote = make_url(url), connection.dialect.identifier_preparer.quote
    name, password = address.username, address.password
    if name is None or password is None or name == connection.engine.url.username:
        return
    if not connection.scalar(EXISTS, {"name": name}):
        raise SettingsError(f"DATABASE_API_URL or DATABASE_WORKER_URL names {name}, but there is no such role")
    _alter(connection, quote(name), "LOGIN PASSWORD {}", _verifier(connection, name, password))
    for setting, value in ROLE_SETTINGS.items():
        _alter(connection, quote(name), f"SET {setting} = {{}}", value)
    connection.exec_driver_sql(f"GRANT SELECT ON alembic_version TO {quote(name)}")  # Who waits for it must see it.


def _verifier(connection: Connection, name: str, password: str) -> str:
    """Return what the server keeps of a password (RFC 5803): the password itself is in no statement or log."""
    driver: Any = connection.connection.driver_connection
    verifier: bytes = driver.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    return verifier.decode()


def _alter(connection: Connection, role: str, clause: str, value: str) -> None:
    """ALTER ROLE takes no bind parameters: the server itself quotes the literal."""
    literal = connection.scalar(text("SELECT quote_literal(:value)"), {"value": value})
    connection.exec_driver_sql(f"ALTER ROLE {role} {clause.format(literal)}".replace("%", "%%"))


EXISTS = text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :name)")
