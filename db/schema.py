"""The schema's life: migrations under a lock, the two roles, the system wallets."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, event, text

import db.admission
from db.engine import connect_args
from db.errors import attend_to_errors
from domain.money import CURRENCIES
from domain.wallets import SystemWallet, system_id

PROJECT = Path(__file__).parent.parent
MIGRATION_LOCK = 7_242_631  # Any number, the same for all: two deployments migrate one after the other.
SYSTEM_BALANCE_MAX = 9 * 10**18  # What a bigint holds: the far side of every customer's money.


def migrate(database_url: str, role_urls: list[str]) -> None:
    """Bring the database up to date, give the roles of `role_urls` their passwords, and add system wallets.

    Each migration has a transaction of its own: where one fails, those before it remain, and the next try begins there.

    Raises:
        SettingsError: one of the roles does not exist.

    """
    made = create_engine(database_url, poolclass=NullPool, connect_args=connect_args(), hide_parameters=True)
    engine = attend_to_errors(made)
    with engine.begin() as guard, engine.connect() as connection:
        # Of the transaction, as a pooler may give the session to somebody else; it is idle meanwhile.
        guard.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        guard.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        event.listen(connection, "begin", _wait_briefly)
        command.upgrade(config(connection), "head")
        connection.rollback()  # What Alembic has looked at last.
        with connection.begin():
            for url in role_urls:
                db.admission.admit(connection, url)
            _add_system_wallets(connection)


def _wait_briefly(connection: Connection) -> None:
    """Give up a lock that does not come: whoever comes after us would wait, too."""
    connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")


def revisions(connection: Connection) -> tuple[str | None, str | None]:
    """Return the database's revision and the newest one."""
    return _current(connection), _scripts(connection).get_current_head()


def is_behind(connection: Connection) -> bool:
    """Tell whether the schema is older than this release needs. A newer one will do: see docs/decisions/0015."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return True
    current, scripts = _current(connection), _scripts(connection)
    older = {one.revision for one in scripts.walk_revisions()} - {scripts.get_current_head()}
    return current is None or current in older


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _scripts(connection: Connection) -> ScriptDirectory:
    return ScriptDirectory.from_config(config(connection))


def config(connection: Connection) -> Config:
    return Config(toml_file=PROJECT / "pyproject.toml", attributes={"connection": connection})


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
