"""What operators did: an entry for each action, which nobody edits."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec


class Action(StrEnum):
    KEY_CREATE = "key.create"
    KEY_REVOKE = "key.revoke"
    WEBHOOK_ENDPOINT_UPDATE = "webhook_endpoint.update"  # Of another key's endpoint.
    WEBHOOK_ENDPOINT_DELETE = "webhook_endpoint.delete"  # Likewise.
    WEBHOOK_SECRET_ROTATE = "webhook_secret.rotate"  # noqa: S105 - a name
    CALLBACK_SECRET_ROTATE = "callback_secret.rotate"  # noqa: S105 - a name
    JOB_CANCEL = "job.cancel"  # Of somebody else's job.
    JOB_REQUEUE = "job.requeue"
    CUSTOMER_FREEZE = "customer.freeze"
    CUSTOMER_UNFREEZE = "customer.unfreeze"
    CUSTOMER_CLOSE = "customer.close"
    WALLET_FREEZE = "wallet.freeze"
    WALLET_UNFREEZE = "wallet.unfreeze"
    WALLET_CLOSE = "wallet.close"
    LOGIN_UNLOCK = "login.unlock"  # Failed logins of a customer were forgotten.
    IMPORT_RUN = "import.run"
    RESEAL = "reseal"


class NewAction(msgspec.Struct, frozen=True, kw_only=True):
    """An action to record. When it was, the database says."""

    actor: str  # `key:<id>`, or `cli:<account>` of the machine on which a command ran.
    action: Action
    object: str  # The id of what it was done to.
    details: dict[str, Any] = {}
    job_id: UUID | None = None  # Of the job that did it.


def command(account: str) -> str:
    """Return the actor that a command is which an account of a machine runs."""
    return f"cli:{account}"


class OperatorAction(msgspec.Struct, frozen=True, kw_only=True):
    """An action as operators read it."""

    id: UUID
    at: datetime
    actor: str
    action: Action
    object: str
    details: dict[str, Any]
    job_id: UUID | None
