"""The schema's life: migrations under a lock, the two roles, the system wallets."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text

from domain.money import CURRENCIES
from domain.wallets import SystemWallet, system_id

PROJECT = Path(__file__).parent.parent
MIGRATION_LOCK = 7_242_631  # Any number, the same for all: two deployments migrate one after the other.
SYSTEM_BALANCE_MAX = 9 * 10**18  # What a bigint holds: the far side of every customer's money.

ROLE_SETTINGS = {
    "synchronous_commit": "on",  # A 202 means that the job is on disk.
    "timezone": "UTC",  # Timestamps leave the API with a Z (RFC 3339).
    "lock_timeout": "3s",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "client_connection_check_interval": "1s",  # A query whose client died stops, and lets its locks go.
}


def migrate(database_url: str, role_urls: list[str]) -> None:
    """Bring the database up to date, give the roles of `role_urls` their passwords, and add system wallets."""
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.execute(text("SET LOCAL lock_timeout = '2s'"))
        command.upgrade(config(connection), "head")
        for url in role_urls:
            _admit_role(connection, url)
        _add_system_wallets(connection)
    engine.dispose()


def revisions(connection: Connection) -> tuple[str | None, str | None]:
    """Return the database's revision and the newest one."""
    current = MigrationContext.configure(connection).get_current_revision()
    return current, ScriptDirectory.from_config(config(connection)).get_current_head()


def config(connection: Connection) -> Config:
    return Config(toml_file=PROJECT / "pyproject.toml", attributes={"connection": connection})


def _admit_role(connection: Connection, url: str) -> None:
    role, quote = make_url(url), connection.dialect.identifier_preparer.quote
    name, password = role.username, role.password
    if name is None or password is None or name == connection.engine.url.username:
        return
    _alter_role(connection, quote(name), "LOGIN PASSWORD {}", password)
    for setting, value in ROLE_SETTINGS.items():
        _alter_role(connection, quote(name), f"SET {setting} = {{}}", value)


def _alter_role(connection: Connection, role: str, clause: str, value: str) -> None:
    """ALTER ROLE takes no bind parameters: the server itself quotes the literal."""
    literal = connection.scalar(text("SELECT quote_literal(:value)"), {"value": value})
    connection.exec_driver_sql(f"ALTER ROLE {role} {clause.format(literal)}".replace("%", "%%"))


def _add_system_wallets(connection: Connection) -> None:
    rows: list[dict[str, Any]] = [
        {"id": system_id(role, currency), "type": role, "currency": currency, "bound": SYSTEM_BALANCE_MAX}
        for currency in sorted(CURRENCIES)
        for role in SystemWallet
    ]
    connection.execute(
        text(
            "INSERT INTO wallets (id, type, currency, balance_min, balance_max, folded_before)"
            " VALUES (:id, :type, :currency, -:bound, :bound, 0) ON CONFLICT (id) DO NOTHING"
        ),
        rows,
    )
