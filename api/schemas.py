"""The schemas of the OpenAPI document: made by msgspec, which also decodes the bodies, so that both say the same.

What a type cannot say, such as a format or what a state means, is added from the tables below.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from domain.errors import Rejection
from domain.jobs import ATTEMPTS_EXHAUSTED
from domain.money import AMOUNT_MAX

Schema = dict[str, Any]

PREFIX = "#/components/schemas/"


def components(types: Iterable[Any]) -> tuple[list[Schema], dict[str, Schema]]:
    """Return a schema for each of the types, and by name those that they refer to."""
    made = msgspec.json.schema_components(types, ref_template=f"{PREFIX}{{name}}")
    references, named = msgspec.json.decode(PAGE.sub(r"\1Page", msgspec.json.encode(made).decode()))
    for name, schema in named.items():
        _complete(name, schema)
    return references, dict(sorted(named.items()))


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
    """Unlike a request, an answer always has all its fields; only an empty list of errors is left out."""
    schema["required"] = [field for field in schema["properties"] if field != "errors"]
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
    "Kind": "What the job does: `noun.verb`.",
    "JobError": "Why a job was rejected or has failed.",
    "RegisterCustomer": "Without `wallet`, the customer has none at first.",
}

# By field of any schema, or by schema and field.
FIELDS: dict[str, Schema] = {
    "created_at": _AT,
    "finished_at": _AT,
    "posted_at": _AT,
    "currency": {"pattern": "^[A-Z]{3}$"},
    "email": {"format": "email"},
    "next_cursor": {"description": "For `cursor`, to read the next page; null on the last one."},
    "number": _NUMBER | {"description": "Ten digits and two check digits (ISO 7064, MOD 97-10)."},
    "counterparty_number": _NUMBER | {"description": "The other wallet; null when money came in or went out."},
    "national_id_last4": {"description": "The rest is sealed."},
    "Customer.phone": {"description": "E.164."},
    "RegisterCustomer.phone": {"description": "With a country code, or of the operator's own country."},
    "RegisterCustomer.national_id": {"description": "4 to 32 letters and digits; blanks, hyphens and slashes go."},
    "RegisterCustomer.password": {"description": "Stored as an argon2id hash; never queued or logged in clear."},
    "CreateTransfer.destination_wallet_id": {"description": "Or `destination_number`, but not both."},
    "CreateTransfer.metadata": {"description": "The caller's own notes: up to 50 texts, by name."},
    "OpenWallet.customer_id": {"description": "Required with an API key."},
    "Wallet.type": {"enum": ["personal", "saving", "loan"]},
    "Wallet.balance": {"description": f"What was posted. {_MINOR}", "format": "int64"},
    "Wallet.held": {"description": f"The part of it that is reserved. {_MINOR}", "format": "int64", "minimum": 0},
    "Wallet.available": {"description": f"What can be spent. {_MINOR}", "format": "int64"},
    "Transaction.id": {"description": "The id of the job that made it."},
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
    "Problem.errors": {"description": "Of a 400: each field that breaks a rule."},
    "FieldError.field": {"description": "The path of a body's field, or a parameter's name."},
    "Health.status": {"enum": ["ok", "unavailable"]},
    "Health.postgres": {"enum": ["up", "down"]},
    "Health.redis": {"enum": ["up", "down"]},
    "JobError.code": {
        "description": "Stable: a rejection's code, or `" + ATTEMPTS_EXHAUSTED.code + "` of a failed job.",
        "examples": [Rejection.INSUFFICIENT_FUNDS.value],
    },
    "Job.result": {
        "description": "Of a job that succeeded; which fields it has depends on the kind.",
        "properties": {
            "customer_id": _ID | {"description": "Of `customer.register`."},
            "wallet_id": _ID | {"description": "Of `wallet.open`, and of a registration with a wallet."},
            "wallet_number": {"type": "string"} | _NUMBER | {"description": "Of a registration with a wallet."},
            "number": {"type": "string"} | _NUMBER | {"description": "Of `wallet.open`."},
            "transaction_id": _ID | {"description": "Of the three money movements."},
        },
    },
}
