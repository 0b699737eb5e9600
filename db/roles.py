"""What a connection's role must not be able to do: checked when a process starts, and by the doctor."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import Connection, Row, text

from db.engine import DatabaseError, transaction
from settings import Settings, SettingsError

log = structlog.get_logger()


class Side(StrEnum):
    API = "API"  # Accepts jobs and reads; moves nothing.
    WORKER = "workers"  # Moves money; accepts nothing.


DURABLE = {
    "fsync": "a power cut could lose or break everything",
    "full_page_writes": "a power cut could leave half a page",
}
REMOVALS = ("DELETE", "TRUNCATE")
EDITS = ("UPDATE", *REMOVALS)
# Of a table; or of a column of one that the side writes otherwise: `wallets.customer_id`.
FORBIDDEN: dict[Side, dict[str, tuple[str, ...]]] = {
    Side.API: {
        "wallets": ("INSERT", *EDITS),
        "transactions": ("INSERT", *EDITS),
        "entries": ("INSERT", *EDITS),
        "blocks": ("INSERT", *EDITS),
        "events": EDITS,
        "jobs": EDITS,
        "customers": ("INSERT", *EDITS),
        "customer_velocity": ("INSERT", *EDITS),
        "operator_actions": EDITS,
    },
    Side.WORKER: {
        "transactions": EDITS,
        "entries": EDITS,
        "blocks": EDITS,
        "events": EDITS,
        "wallets": REMOVALS,
        "wallets.customer_id": ("UPDATE",),
        "wallets.balance_min": ("INSERT", "UPDATE"),
        "jobs": ("INSERT", *REMOVALS),
        "jobs.kind": ("UPDATE",),
        "jobs.caller": ("UPDATE",),
        "customers": REMOVALS,
        "api_keys": ("INSERT",),
        "webhook_secrets": ("INSERT", "UPDATE"),
        "customer_velocity": ("INSERT", *REMOVALS),
        "operator_actions": EDITS,
    },
}


def unsafe(connection: Connection, side: Side) -> list[str]:
    """Return what is wrong with the role that `side` connects as, and its settings, a sentence each."""
    row = connection.execute(ROLE).one()
    return _powers(row) + _privileges(connection, row.name, side)


def undurable(connection: Connection) -> list[str]:
    """Return what the server is set to that a power cut would turn into lost or broken data, a sentence each."""
    shown = {name: connection.scalar(text(f"SHOW {name}")) for name in DURABLE}
    return [f"{name} is {value}; {DURABLE[name]}" for name, value in shown.items() if value != "on"]


def refuse_unsafe(config: Settings, sides: Mapping[str, Side]) -> None:
    """Refuse to start with roles that could do more than their side; `sides` has them by the settings' names.

    A database that is away may come back first, and is no reason.

    Raises:
        SettingsError: with a reason for each thing that is wrong.

    """
    found = []
    for name, side in sides.items():
        try:
            found += [f"{name.upper()}: {sentence}" for sentence in complaints(config, name, side)]
        except DatabaseError as error:
            log.warning("starting without the database", setting=name.upper(), error=str(error))
    if found:
        raise SettingsError(*found)


def complaints(config: Settings, name: str, side: Side) -> list[str]:
    """Return what is wrong with the role and the server that the setting `name` is the address of.

    Raises:
        DatabaseError: it does not answer.

    """
    with transaction(getattr(config, name)) as tx:
        return unsafe(tx, side) + (undurable(tx) if config.is_production else [])


def _powers(row: Row[Any]) -> list[str]:
    found = []
    if row.is_superuser:
        found.append(f"the role {row.name} is a superuser; it could edit history")
    if row.owned:
        found.append(f"the role {row.name} owns tables; it could drop their rules")
    if row.makes_roles:
        found.append(f"the role {row.name} has CREATEROLE; it could make itself another one")
    if row.bypasses:
        found.append(f"the role {row.name} has BYPASSRLS; no policy would hold it")
    if row.synchronous_commit not in {"on", "remote_apply"}:
        found.append(f"synchronous_commit is {row.synchronous_commit}; an accepted job could be lost")
    return found


def _privileges(connection: Connection, name: str, side: Side) -> list[str]:
    pairs = [(table, privilege) for table, forbidden in FORBIDDEN[side].items() for privilege in forbidden]
    tables, privileges = zip(*pairs, strict=True)
    held = connection.scalars(HELD, {"tables": list(tables), "privileges": list(privileges)}).all()
    return [f"the role {name} may {', '.join(held)}; the {side} must not"] if held else []


ROLE = text("""
    SELECT rolname AS name, rolsuper AS is_superuser, rolcreaterole AS makes_roles, rolbypassrls AS bypasses,
           EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public' AND tableowner = current_user) AS owned,
           current_setting('synchronous_commit') AS synchronous_commit
      FROM pg_roles WHERE rolname = current_user
""")
# A right to one column is a right too. A table that is not there yet gives none.
HELD = text("""
    SELECT privilege || ' ' || name
      FROM unnest(CAST(:tables AS text[]), CAST(:privileges AS text[])) WITH ORDINALITY
           AS asked (name, privilege, place),
           to_regclass('public.' || split_part(name, '.', 1)) AS found, split_part(name, '.', 2) AS of_column
     WHERE CASE WHEN of_column <> '' THEN has_column_privilege(found, of_column, privilege)
                WHEN privilege IN ('INSERT', 'UPDATE') THEN has_any_column_privilege(found, privilege)
                ELSE has_table_privilege(found, privilege) END
     ORDER BY place
""")
