"""The schemas of the OpenAPI document: made by msgspec, which also decodes the bodies, so that both say the same.

What a type cannot say, such as a format or what a state means, is added from the tables below.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from domain.bulk_transfers import ItemOutcome
from domain.errors import Rejection
from domain.events import MEANINGS, DisabledEndpoint, EndpointTest
from domain.jobs import ATTEMPTS_EXHAUSTED, Job
from domain.money import AMOUNT_MAX
from domain.wallets import WalletState

Schema = dict[str, Any]

PREFIX = "#/components/schemas/"
TOLD = (Job, DisabledEndpoint, EndpointTest)  # What an event's `data` can be; its type says nothing of it.


def components(types: Iterable[Any]) -> tuple[list[Schema], dict[str, Schema]]:
    """Return a schema for each of the types, and by name those that they refer to."""
    wanted = list(types)
    made = msgspec.json.schema_components([*wanted, *TOLD, ItemOutcome], ref_template=f"{PREFIX}{{name}}")
    references, named = msgspec.json.decode(PAGE.sub(r"\1Page", msgspec.json.encode(made).decode()))
    for name, schema in named.items():
        _complete(name, schema)
    return references[: len(wanted)], dict(sorted(named.items()))


def inlined(type_: Any) -> Schema:
    """Return the type's schema with all that it refers to in it, for a reader who has nothing else."""
    references, named = components([type_])
    result: Schema = _inline(references[0], named)
    return result


def _inline(schema: Any, named: dict[str, Schema]) -> Any:
    if isinstance(schema, list):
        return [_inline(one, named) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if name := schema.get("$ref"):
        return _inline(named[name.removeprefix(PREFIX)], named)
    return {key: _inline(value, named) for key, value in schema.items()}


PAGE = re.compile(r"Page_(\w+)_(?=\")")  # msgspec's name of Page[Job]; a client's code wants JobPage.


def _complete(name: str, schema: Schema) -> None:
    if note := SCHEMAS.get(name):
        schema["description"] = note
    if "enum" in schema:
        schema["type"] = "string"
    if "properties" not in schema:
        return
    if "additionalProperties" not in schema:
        _complete_answer(schema)
    for field, inner in schema["properties"].items():
        _value(inner).update(FIELDS.get(field, {}) | FIELDS.get(f"{name}.{field}", {}))
        if inner.get("enum"):
            inner["type"] = "string"


def _complete_answer(schema: Schema) -> None:
    """Unlike a request, an answer has its fields also where they have their default.

    Left out are an empty list of errors, and what can be unset: it is not required, and has no default.
    """
    always = {field for field, inner in schema["properties"].items() if "default" in inner} - {"errors"}
    schema["required"] = [field for field in schema["properties"] if field in {*always, *schema.get("required", [])}]
    for inner in schema["properties"].values():
        inner.pop("default", None)


def _value(schema: Schema) -> Schema:
    """Return the schema of the value itself when it may also be null."""
    found: Schema = next((one for one in schema.get("anyOf", []) if one.get("type") != "null"), schema)
    return found


_AT = {"format": "date-time", "description": "RFC 3339, in UTC."}
_ID = {"type": "string", "format": "uuid"}
_NUMBER = {"pattern": "^[0-9]{12}$"}
_MINOR = "Minor units of the currency (ISO 4217)."
_COUNT = {"type": "integer", "minimum": 0}
_URL = {"format": "uri"}
_SECRET = {
    "description": "Shown in this answer only. What follows `whsec_` is base64 of the key of the signatures.",
    "pattern": "^whsec_[A-Za-z0-9+/]+={0,2}$",
}
_EITHER = {"description": "Or `destination_number`, but not both."}
_NOTES = {"description": "The caller's own notes: up to 50 texts, by name."}
_DISABLED = {
    "description": "Why it is switched off; null while it is enabled.",
    "enum": ["disabled_by_owner", "no_success_for_too_long", "answered_410", "key_revoked"],
}
_EVENT_TYPES = {"description": "Types, prefixes such as `transfer.*`, or `*` for all."}

SCHEMAS = {
    "JobState": (
        "- `queued`: accepted and durable; nothing has moved yet.\n"
        "- `succeeded`: done, and committed.\n"
        "- `rejected`: the rules said no. Final: a retry never turns it into a yes.\n"
        "- `failed`: we could not, after every attempt; nothing has moved. An operator may requeue it.\n"
        "- `canceled`: taken back by its caller while it was still queued."
    ),
    "WalletState": (
        "- `open`: money comes and goes.\n"
        "- `frozen`: nothing moves until an operator says so.\n"
        "- `closed`: empty, and for good."
    ),
    "CustomerState": (
        "- `open`: logs in, and moves money.\n"
        "- `frozen`: neither, until an operator says so: all wallets are frozen too.\n"
        "- `closed`: all wallets are, and for good."
    ),
    "Kind": "What the job does: `noun.verb`.",
    "JobError": "Why a job was rejected or has failed.",
    "RegisterCustomer": "Without `wallet`, the customer has none at first.",
    "EventType": "\n".join(f"- `{one}`: {meaning}" for one, meaning in MEANINGS.items()),
    "DeliveryState": (
        "- `pending`: an attempt is due, now or later.\n"
        "- `succeeded`: the receiver answered 2xx.\n"
        "- `failed`: every attempt failed, or the receiver answered 410.\n"
        "- `canceled`: the endpoint was switched off or deleted, or the API key has ended."
    ),
}

# By field of any schema, or by schema and field.
FIELDS: dict[str, Schema] = {
    "created_at": _AT,
    "finished_at": _AT,
    "posted_at": _AT,
    "sealed_at": _AT,
    "currency": {"pattern": "^[A-Z]{3}$"},
    "email": {"format": "email"},
    "url": _URL,
    "callback_url": _URL,
    "secret": _SECRET,
    "failing_since": _AT | {"description": "The first failure after the latest success; null while all is well."},
    "previous_until": _AT | {"description": "Null when there was no secret before."},
    "next_cursor": {"description": "For `cursor`, to read the next page; null on the last one."},
    "number": _NUMBER | {"description": "Ten digits and two check digits (ISO 7064, MOD 97-10)."},
    "counterparty_number": _NUMBER | {"description": "The other wallet; null when money came in or went out."},
    "national_id_last4": {"description": "The rest is sealed."},
    "Customer.phone": {"description": "E.164."},
    "RegisterCustomer.phone": {"description": "With a country code, or of the operator's own country."},
    "RegisterCustomer.national_id": {"description": "4 to 32 letters and digits; blanks, hyphens and slashes go."},
    "RegisterCustomer.password": {"description": "Stored as an argon2id hash; never queued or logged in clear."},
    "CreateTransfer.destination_wallet_id": _EITHER,
    "CreateTransfer.metadata": _NOTES,
    "TransferItem.destination_wallet_id": _EITHER,
    "TransferItem.metadata": _NOTES,
    "OperatorAction.at": _AT,
    "OperatorAction.actor": {
        "description": "`key:` and the id of an API key, or `cli:` and the account that ran a command.",
    },
    "OperatorAction.object": {"description": "The id of what it was done to."},
    "OperatorAction.details": {"description": "What else there is to say, such as a reason."},
    "OperatorAction.job_id": {"description": "Of the job that did it; null when no job did."},
    "OpenWallet.customer_id": {"description": "Required with an API key."},
    "Wallet.type": {"enum": ["personal", "saving", "loan"]},
    "Wallet.balance": {"description": f"What was posted. {_MINOR}", "format": "int64"},
    "Wallet.held": {"description": f"The part of it that is reserved. {_MINOR}", "format": "int64", "minimum": 0},
    "Wallet.available": {"description": f"What can be spent. {_MINOR}", "format": "int64"},
    "Transaction.id": {"description": "The id of the job that made it, unless that is a bulk."},
    "Transaction.amount": {"description": _MINOR, "format": "int64", "minimum": 1, "maximum": AMOUNT_MAX},
    "Transaction.source_wallet_id": {"description": "Null for a deposit."},
    "Transaction.destination_wallet_id": {"description": "Null for a withdrawal."},
    "Transaction.metadata": {"additionalProperties": {"type": "string"}},
    "StatementEntry.amount": {
        "description": f"Signed: negative when money left. {_MINOR}",
        "format": "int64",
        "minimum": -AMOUNT_MAX,
        "maximum": AMOUNT_MAX,
    },
    "StatementEntry.balance_after": {"description": _MINOR, "format": "int64"},
    "Tokens.token_type": {"const": "Bearer"},
    "Tokens.expires_in": {"description": "Seconds.", "minimum": 1},
    "Problem.type": {"format": "uri-reference", "description": "Where the code is explained."},
    "Problem.status": {"minimum": 400, "maximum": 599},
    "Problem.instance": {"description": "The path that was asked for."},
    "Problem.request_id": {"description": "As in `X-Request-Id`; the log has it too."},
    "Problem.errors": {"description": "Of a 400: each field that breaks a rule. Of a bulk's 404: what is not there."},
    "FieldError.field": {"description": "The path of a body's field, or a parameter's name."},
    "Health.status": {"enum": ["ok", "unavailable"]},
    "Health.postgres": {"enum": ["up", "down"]},
    "Health.redis": {"enum": ["up", "down"]},
    "Event.id": {"description": "The `webhook-id` of its messages."},
    "Event.timestamp": _AT | {"description": "When it happened: RFC 3339, in UTC."},
    "Event.data": {
        "description": "The job as `GET /v1/jobs/{id}` shows it; of `webhook*` types an object of their own.",
        "anyOf": [{"$ref": f"{PREFIX}{one.__name__}"} for one in TOLD],
    },
    "Event.sequences": {
        "description": "One for each wallet that a posted movement touched; empty when none was, and of bulks."
    },
    "WalletSequence.sequence": {"format": "int64", "minimum": 1},
    "Feed.next_cursor": {"description": "For `after`, to read on, now or later; null only before the first event."},
    "Feed.has_more": {"description": "Whether to ask again at once."},
    "EventDescription.schema": {"description": "JSON Schema (2020-12) of an event of this type, without references."},
    "CreateWebhookEndpoint.event_types": {"default": ["*"]},
    "WebhookEndpoint.event_types": _EVENT_TYPES,
    "CreatedWebhookEndpoint.event_types": _EVENT_TYPES,
    "WebhookEndpoint.disabled_reason": _DISABLED,
    "CreatedWebhookEndpoint.disabled_reason": _DISABLED,
    "DisabledEndpoint.disabled_reason": _DISABLED | {"description": "Why."},
    "ReplayWebhooks.from": {"format": "date-time", "description": "Events that happened then or later (RFC 3339)."},
    "ReplayWebhooks.to": {"format": "date-time", "description": "Events that happened before then; by default: now."},
    "ReplayWebhooks.only_failed": {"description": "Only what never arrived, or was never sent."},
    "Delivery.endpoint_id": {"description": "Null of a callback."},
    "Delivery.callback_url": {"description": "Null of a delivery to an endpoint."},
    "Delivery.event_id": {"description": "The `webhook-id` of the message."},
    "Delivery.attempts": {"description": "Oldest first."},
    "Delivery.next_attempt_at": _AT
    | {"description": "While it is pending; while an attempt is under way, when another one would follow it."},
    "Attempt.at": _AT,
    "Attempt.duration_ms": _COUNT,
    "Attempt.error": {
        "description": "Why there was no answer; null when there was one.",
        "examples": [
            "address_refused",
            "name_not_resolved",
            "connection_failed",
            "tls_failed",
            "timed_out",
            "connection_lost",
            "answer_malformed",
        ],
    },
    "Attempt.excerpt": {"description": "How the answer's body began."},
    "Progress.done": _COUNT | {"description": "Items that were decided, or events of a replay looked at, so far."},
    "Progress.total": _COUNT | {"description": "Items of the bulk, or events of the time that was asked for."},
    "JobError.index": _COUNT | {"description": "Of the item for which a bulk of all or nothing was rejected, from 0."},
    "JobError.code": {
        "description": "Stable: a rejection's code, or `" + ATTEMPTS_EXHAUSTED.code + "` of a failed job.",
        "examples": [Rejection.INSUFFICIENT_FUNDS.value],
    },
    "ItemOutcome.index": _COUNT | {"description": "Of the item in the request, from 0."},
    "ItemOutcome.state": {"enum": ["succeeded", "rejected"]},
    "ItemOutcome.transaction_id": {"description": "Of an item that succeeded."},
    "ItemOutcome.error": {"description": "Of an item that was rejected."},
    "Job.result": {
        "description": "Of a job that succeeded; which fields it has depends on the kind.",
        "properties": {
            "customer_id": _ID | {"description": "Of jobs of customers."},
            "wallet_id": _ID | {"description": "Of jobs of wallets, and of a registration with a wallet."},
            "state": {
                "type": "string",
                "enum": [state.value for state in WalletState],
                "description": "Of a wallet or customer that was frozen, unfrozen or closed.",
            },
            "wallet_number": {"type": "string"} | _NUMBER | {"description": "Of a registration with a wallet."},
            "number": {"type": "string"} | _NUMBER | {"description": "Of `wallet.open`."},
            "transaction_id": _ID | {"description": "Of the three money movements."},
            "succeeded": _COUNT | {"description": "Of a bulk: how many items succeeded."},
            "rejected": _COUNT | {"description": "Of a bulk: how many items were rejected."},
            "items": {
                "type": "array",
                "description": "Of a bulk: what became of each item, in order. Lists and events leave it out.",
                "items": {"$ref": f"{PREFIX}ItemOutcome"},
            },
            "events": _COUNT | {"description": "Of `webhook.replay`: the events of that time."},
            "deliveries": _COUNT | {"description": "Of `webhook.replay`: how many of them are sent."},
        },
    },
}
