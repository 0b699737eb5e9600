"""The log of operators' actions: each is written in the transaction of the action itself, and never edited."""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select, text
from uuid_utils.compat import uuid7

from db.rows import encode
from db.tables import operator_actions
from domain.actions import Action, NewAction, OperatorAction


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of actions is narrowed to; None leaves it open."""

    action: Action | None = None
    object: str | None = None


def record(connection: Connection, *actions: NewAction) -> None:
    if actions:
        rows = [{"id": uuid7()} | msgspec.structs.asdict(one) for one in actions]
        connection.execute(RECORD, {"rows": encode(rows)})


RECORD = text("""
    INSERT INTO operator_actions (id, actor, action, object, details, job_id)
    SELECT id, actor, action, object, details, job_id
      FROM json_to_recordset(CAST(:rows AS json))
           AS done (id uuid, actor text, action text, object text, details jsonb, job_id uuid)
""")


def page(connection: Connection, wanted: Filter, before: UUID | None, limit: int) -> list[OperatorAction]:
    """Return at most `limit` actions, newest first, older than `before`."""
    query = select(operator_actions).order_by(operator_actions.c.id.desc()).limit(limit)
    conditions: list[Any] = [
        operator_actions.c[name] == value
        for name in wanted.__struct_fields__
        if (value := getattr(wanted, name)) is not None
    ]
    if before is not None:
        conditions.append(operator_actions.c.id < before)
    rows = connection.execute(query.where(*conditions))
    return [msgspec.convert(row, OperatorAction, from_attributes=True) for row in rows]
